<?php
/**
 * Subscribes to a topic with plain PHP and prints every message, until you stop it:
 *
 *     php listen.php chat.lobby
 *
 * It reads the topic's Server-Sent Events (https://html.spec.whatwg.org/multipage/server-sent-events.html). When the
 * connection breaks, it reconnects and sends the id of the last event (Last-Event-ID), and the broker continues there. It
 * does not know what the messages mean.
 */
declare(strict_types=1);

if ($argc !== 2) {
    fwrite(STDERR, "Usage: php listen.php TOPIC\n");
    exit(2);
}
$broker = getenv('FANWIRE_URL') ?: 'http://127.0.0.1:7400';
$url = $broker . '/topics/' . rawurlencode($argv[1]);
$lastId = '';      // The id of the last event.
$waitMs = 1000;    // The wait before a reconnect, until the broker names another (retry).

while (true) {
    $stream = open($url, $lastId);
    if ($stream === null) {
        report("Cannot reach the broker at $broker. Trying again …");
    } else {
        report("Listening to $url");
        read_events($stream, $lastId, $waitMs);
        fclose($stream);
        report('The connection broke. Reconnecting …');
    }
    usleep($waitMs * 1000);
}

/** Opens the event stream after $lastId. Returns null when the broker cannot be reached now. Ends the script when it refuses. */
function open(string $url, string $lastId): mixed
{
    $headers = ['Accept: text/event-stream'];
    if ($lastId !== '') {
        $headers[] = "Last-Event-ID: $lastId";
    }
    $request = stream_context_create(['http' => [
        'header' => $headers,
        'protocol_version' => 1.0,  // HTTP/1.1 sends the response in chunks, and PHP would hold lines back until it has 8 KiB.
        'timeout' => 45,            // Seconds without a byte. The broker sends a comment every 15 seconds.
        'ignore_errors' => true,    // Return the broker's explanation when it refuses.
    ]]);
    $stream = @fopen($url, 'r', false, $request);
    if ($stream === false) {
        return null;
    }
    $status = (int) explode(' ', stream_get_meta_data($stream)['wrapper_data'][0])[1];
    if ($status === 429 || $status >= 500) {
        return null;    // Too busy, or a proxy without its broker: try again.
    }
    if ($status !== 200) {
        $problem = json_decode((string) stream_get_contents($stream), true);
        report("The broker refused ($status): " . ($problem['detail'] ?? 'no reason given'));
        exit(1);
    }
    return $stream;
}

/** Reads events and prints them until the connection breaks. Updates the last id, and the wait that the broker requests. */
function read_events(mixed $stream, string &$lastId, int &$waitMs): void
{
    $event = ['event' => 'message', 'data' => [], 'id' => $lastId];
    while (($line = fgets($stream)) !== false) {
        if (!str_ends_with($line, "\n")) {
            return;     // Cut in the middle of a line: the event is incomplete, and the broker sends it again.
        }
        $line = rtrim($line, "\r\n");
        if ($line === '') {
            // An empty line ends an event.
            $lastId = $event['id'];
            show($event['event'], implode("\n", $event['data']));
            $event = ['event' => 'message', 'data' => [], 'id' => $lastId];
            continue;
        }
        [$field, $value] = explode(':', $line, 2) + [1 => ''];
        $value = preg_replace('/^ /', '', $value);
        match ($field) {
            'data' => $event['data'][] = $value,
            'event' => $event['event'] = $value,
            'id' => $event['id'] = $value,
            'retry' => $waitMs = max(100, (int) $value),
            default => null,    // A comment (the field before the colon is empty), or a field that is newer than this script.
        };
    }
}

function show(string $event, string $data): void
{
    match (true) {
        $event === 'gap' => report('Some messages are missing: the broker no longer holds them.'),
        $event === 'closing' => report('The broker closes the connection: ' . (json_decode($data, true)['reason'] ?? '')),
        $data === '' => null,
        $event === 'binary' => print('(' . strlen(base64_decode($data)) . " bytes of binary data)\n"),
        $event === 'message' => print("$data\n"),
        default => null,    // A kind of event that is newer than this script.
    };
}

/** Reports something about the connection to standard error. Only messages go to standard output. */
function report(string $text): void
{
    fwrite(STDERR, $text . "\n");
}
