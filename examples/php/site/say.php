<?php

/**
 * Publishes a message of the visitor. Your own site would save the message first.
 */

declare(strict_types=1);

require __DIR__ . '/settings.php';

$name = visitor();
$text = trim((string) ($_POST['text'] ?? ''));
if ($_SERVER['REQUEST_METHOD'] !== 'POST' || $name === null || $text === '') {
    http_response_code($name === null ? 401 : 400);
    exit("Enter your name and a message.\n");
}
try {
    $receipt = broker()->publish('room.lobby', ['name' => $name, 'text' => $text]);
    echo "Delivered to {$receipt->subscribers} subscribers\n";
} catch (Fanwire\Exception\Forbidden | Fanwire\Exception\TooLarge $error) {
    // These errors are about the message, so the visitor reads them.
    http_response_code(422);
    echo $error->getMessage(), "\n";
} catch (Fanwire\Exception\FanwireException $error) {
    // These errors are for you.
    error_log("{$error->getMessage()} {$error->advice()}");
    http_response_code(503);
    echo "That did not work. Please try again.\n";
}
