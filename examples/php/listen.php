<?php
/**
 * Listens to a topic with plain PHP and prints every message, for as long as you let it:
 *
 *     php listen.php chat.lobby
 *
 * It reads the topic's Server-Sent Events (https://html.spec.whatwg.org/multipage/server-sent-events.html). When the
 * connection breaks it comes back and names the last event it saw (Last-Event-ID), so the broker goes on right there. It
 * knows nothing of what the messages mean.
 */
declare(strict_types=1);

if ($argc !== 2) {
    fwrite(STDERR, "Usage: php listen.php TOPIC\n");
    exit(2);
}
$broker = getenv('FANWIRE_URL') ?: 'http://127.0.0.1:7400';
$url = $broker . '/topics/' . rawurlencode($argv[1]);
$lastId = '';      // The id of the last event we saw.
$waitMs = 1000;    // How long to wait before coming back; the broker may say otherwise.

while (true) {
    $stream = open($url, $lastId);
    if ($stream === null) {
        say("Cannot reach the broker at $broker. Trying again …");
    } else {
        say("Listening to $url");
        read_events($stream, $lastId, $waitMs);
        fclose($stream);
        say('The connection broke. Coming back …');
    }
    usleep($waitMs * 1000);
}

/** Opens the event stream after $lastId. Returns null when the broker cannot be reached now; ends the script when it says no. */
function open(string $url, string $lastId): mixed
{
    $headers = ['Accept: text/event-stream'];
    if ($lastId !== '') {
        $headers[] = "Last-Event-ID: $lastId";
    }
    $request = stream_context_create(['http' => [
        'header' => $headers,
        'protocol_version' => 1.0,  // In HTTP/1.1 the answer comes in chunks, and PHP would hold lines back until it has 8 KiB.
        'timeout' => 45,            // Seconds without a byte. The broker sends a comment every 15, so then it is gone.
        'ignore_errors' => true,    // Give us the broker's explanation when it says no.
    ]]);
    $stream = @fopen($url, 'r', false, $request);
    if ($stream === false) {
        return null;
    }
    $status = (int) explode(' ', stream_get_meta_data($stream)['wrapper_data'][0])[1];
    if ($status === 429 || $status >= 500) {
        return null;    // Too busy, or a proxy without a broker behind it: that passes.
    }
    if ($status !== 200) {
        $problem = json_decode((string) stream_get_contents($stream), true);
        say("The broker said no ($status): " . ($problem['detail'] ?? 'it gave no reason'));
        exit(1);
    }
    return $stream;
}

/** Reads events and prints them until the connection breaks. Remembers the last id and the waiting time the broker asks for. */
function read_events(mixed $stream, string &$lastId, int &$waitMs): void
{
    $event = ['event' => 'message', 'data' => [], 'id' => $lastId];
    while (($line = fgets($stream)) !== false) {
        if (!str_ends_with($line, "\n")) {
            return;     // Cut in the middle of a line: the event is not whole and will come again.
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
            'retry' => $waitMs = (int) $value,
            default => null,    // A comment (the field before the colon is empty), or something newer than this script.
        };
    }
}

function show(string $event, string $data): void
{
    match (true) {
        $event === 'gap' => say('Some messages were missed: the broker no longer holds them.'),
        $event === 'closing' => say('The broker says goodbye: ' . (json_decode($data, true)['reason'] ?? '')),
        $data === '' => null,
        $event === 'binary' => print('(' . strlen(base64_decode($data)) . " bytes of binary data)\n"),
        $event === 'message' => print("$data\n"),
        default => null,    // A kind of event newer than this script.
    };
}

/** Says something about the connection; the messages alone go to standard output. */
function say(string $text): void
{
    fwrite(STDERR, $text . "\n");
}
