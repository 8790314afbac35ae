<?php

/**
 * Publishes what the visitor says. This is where your own site would save it first.
 */

declare(strict_types=1);

require __DIR__ . '/settings.php';

$name = visitor();
$text = trim((string) ($_POST['text'] ?? ''));
if ($_SERVER['REQUEST_METHOD'] !== 'POST' || $name === null || $text === '') {
    http_response_code($name === null ? 401 : 400);
    exit("Sign in, and say something.\n");
}
try {
    $receipt = broker()->publish('room.lobby', ['name' => $name, 'text' => $text]);
    echo "Delivered to {$receipt->subscribers} subscribers\n";
} catch (Fanwire\Exception\Forbidden | Fanwire\Exception\TooLarge $error) {
    // These are about what the visitor said, so they are for the visitor.
    http_response_code(422);
    echo $error->getMessage(), "\n";
} catch (Fanwire\Exception\FanwireException $error) {
    // These are for you.
    error_log("{$error->getMessage()} {$error->advice()}");
    http_response_code(503);
    echo "That did not work. Please try again.\n";
}
