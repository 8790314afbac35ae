<?php

/**
 * A stand-in for a broker that answers each request with the number of the connection it came over, as the offset of a
 * receipt: php numbered-connections.php. It prints its port.
 */

declare(strict_types=1);

$server = stream_socket_server('tcp://127.0.0.1:0');
echo substr((string) strrchr((string) stream_socket_get_name($server, false), ':'), 1), "\n";
$connections = [];
$received = [];
$next = 1;
while (true) {
    $readable = [$server, ...$connections];
    $none = null;
    stream_select($readable, $none, $none, null);
    foreach ($readable as $stream) {
        if ($stream === $server) {
            $connections[$next] = stream_socket_accept($server);
            $received[$next] = '';
            $next++;
            continue;
        }
        $number = array_search($stream, $connections, true);
        $bytes = (string) fread($stream, 65_536);
        if ($bytes === '') {
            unset($connections[$number], $received[$number]);
            continue;
        }
        $received[$number] .= $bytes;
        // A request is whole once its body is there; the client sends each body with its length.
        $head = strpos($received[$number], "\r\n\r\n");
        $isKnown = $head !== false && preg_match('/^content-length: (\d+)/im', $received[$number], $match) === 1;
        $end = $isKnown ? $head + 4 + (int) $match[1] : PHP_INT_MAX;
        if (strlen($received[$number]) >= $end) {
            $received[$number] = substr($received[$number], $end);
            $body = json_encode(['topic' => 'a', 'epoch' => 'e', 'offset' => $number, 'subscribers' => 0]);
            fwrite($stream, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: " . strlen($body) . "\r\n\r\n$body");
        }
    }
}
