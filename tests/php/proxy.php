<?php
/**
 * A TCP proxy on loopback that cuts every connection at SIGUSR1, the second time in the middle of the next bytes:
 * php proxy.php BROKER_PORT. It prints its own port on one line, and a line "cut" for each cut. It does not know the
 * protocol inside.
 */
declare(strict_types=1);

$broker = '127.0.0.1:' . $argv[1];
$server = stream_socket_server('tcp://127.0.0.1:0') ?: exit(1);
echo substr(strrchr(stream_socket_get_name($server, false), ':'), 1), "\n";

$cuts = 0;
$cutNow = false;
$cutInTheMiddle = false;
pcntl_async_signals(true);
pcntl_signal(SIGUSR1, function () use (&$cuts, &$cutNow, &$cutInTheMiddle): void {
    $cuts++;
    $cutNow = $cuts % 2 === 1;
    $cutInTheMiddle = !$cutNow;
});

/** @var array<int, resource> $peers where the bytes of each connection go, by the connection's id */
$peers = [];
/** @var array<int, resource> $streams */
$streams = [];
/** @var array<int, bool> $fromBroker */
$fromBroker = [];

$cutAll = function () use (&$peers, &$streams, &$fromBroker): void {
    array_map('fclose', $streams);
    $peers = $streams = $fromBroker = [];
    echo "cut\n";
};

while (true) {
    $readable = [$server, ...array_values($streams)];
    $none = null;
    $ready = @stream_select($readable, $none, $none, 1);    // A signal interrupts it; the second is for one that came just before.
    if ($cutNow) {
        $cutNow = false;
        $cutAll();
        continue;
    }
    if (!$ready) {
        continue;
    }
    foreach ($readable as $stream) {
        if ($stream === $server) {
            $client = stream_socket_accept($server);
            $upstream = @stream_socket_client("tcp://$broker", timeout: 5);
            if ($upstream === false) {
                fclose($client);
                continue;
            }
            foreach ([[$client, $upstream, false], [$upstream, $client, true]] as [$one, $other, $isBroker]) {
                stream_set_blocking($one, false);
                $streams[(int) $one] = $one;
                $peers[(int) $one] = $other;
                $fromBroker[(int) $one] = $isBroker;
            }
            continue;
        }
        $id = (int) $stream;
        if (!isset($streams[$id])) {
            continue;   // Closed earlier in this round.
        }
        $bytes = fread($stream, 65536);
        $peer = $peers[$id];
        if ($bytes === '' || $bytes === false) {
            foreach ([$stream, $peer] as $end) {
                unset($streams[(int) $end], $peers[(int) $end], $fromBroker[(int) $end]);
                fclose($end);
            }
            continue;
        }
        if ($cutInTheMiddle && $fromBroker[$id]) {
            $cutInTheMiddle = false;
            fwrite($peer, substr($bytes, 0, intdiv(strlen($bytes) + 1, 2)));
            $cutAll();
            break;
        }
        fwrite($peer, $bytes);
    }
}
