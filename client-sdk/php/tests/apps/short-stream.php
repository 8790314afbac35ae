<?php

/**
 * An event stream that ends as soon as it is open, and requests a reconnect after the milliseconds that the path names
 * (/MILLISECONDS/topics/…). It does not know topics.
 */

declare(strict_types=1);

$milliseconds = explode('/', (string) parse_url((string) $_SERVER['REQUEST_URI'], PHP_URL_PATH))[1];
header('Content-Type: text/event-stream');
echo "id: 5f3a:1\n\n";
$closing = ['code' => 1001, 'reason' => 'the broker is shutting down', 'reconnect' => true, 'after_ms' => (int) $milliseconds];
echo "event: closing\ndata: ", json_encode($closing), "\n\n";
