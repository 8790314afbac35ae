<?php

/**
 * An event stream that ends as soon as it is open, and asks for a reconnect after the milliseconds that the path names
 * (/MILLISECONDS/topics/…). It knows no topics.
 */

declare(strict_types=1);

$asked = explode('/', (string) parse_url((string) $_SERVER['REQUEST_URI'], PHP_URL_PATH))[1];
header('Content-Type: text/event-stream');
echo "id: 5f3a:1\n\n";
$closing = ['code' => 1001, 'reason' => 'the broker is shutting down', 'reconnect' => true, 'after_ms' => (int) $asked];
echo "event: closing\ndata: ", json_encode($closing), "\n\n";
