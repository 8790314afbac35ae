<?php
/**
 * Publishes one message with plain PHP, without Composer and without an extension. It works from the command line
 *
 *     php publish.php chat.lobby 'Hello from PHP'
 *
 * and inside a web request (a form that posts a field `text` here). It owns the one HTTP request; it does not know the
 * subscribers.
 */
declare(strict_types=1);

/**
 * Publishes $message to $topic and returns the broker's receipt: ['topic' => …, 'offset' => …, 'subscribers' => …, …].
 * $message may be anything that json_encode() takes.
 *
 * @throws RuntimeException with a sentence about the error
 */
function publish(string $topic, mixed $message): array
{
    $broker = getenv('FANWIRE_URL') ?: 'http://127.0.0.1:7400';
    $request = stream_context_create(['http' => [
        'method' => 'POST',
        'header' => 'Content-Type: application/json',
        'content' => json_encode($message, JSON_THROW_ON_ERROR),
        'timeout' => 5,             // Seconds. A web request must not wait longer for the broker.
        'ignore_errors' => true,    // Return the broker's explanation when it refuses.
    ]]);
    $answer = @file_get_contents($broker . '/topics/' . rawurlencode($topic), false, $request);
    if ($answer === false) {
        throw new RuntimeException("Cannot reach the broker at $broker. Is it running?");
    }
    $answer = json_decode($answer, true);
    if (!isset($answer['offset'])) {
        throw new RuntimeException('The broker did not accept the message: ' . ($answer['detail'] ?? 'no reason given'));
    }
    return $answer;
}

if (PHP_SAPI === 'cli') {
    // On the command line: php publish.php TOPIC TEXT
    if ($argc !== 3) {
        fwrite(STDERR, "Usage: php publish.php TOPIC TEXT\n");
        exit(2);
    }
    try {
        $receipt = publish($argv[1], ['name' => 'PHP', 'text' => $argv[2]]);
        echo "Delivered to {$receipt['subscribers']} subscribers.\n";
    } catch (RuntimeException $error) {
        fwrite(STDERR, $error->getMessage() . "\n");
        exit(1);
    }
} else {
    // In a web request: what your own script would do after it has saved something.
    header('Content-Type: text/plain; charset=utf-8');
    try {
        $receipt = publish('chat.lobby', ['name' => 'PHP', 'text' => (string) ($_POST['text'] ?? 'Hello')]);
        echo "Delivered to {$receipt['subscribers']} subscribers.\n";
    } catch (RuntimeException $error) {
        http_response_code(502);
        echo $error->getMessage(), "\n";
    }
}
