<?php

/**
 * An event stream that a broker closes: the first time with a request to reconnect, the second time for good, with the
 * error that the path names (/ERROR/topics/…). It does not know topics.
 */

declare(strict_types=1);

$error = explode('/', (string) parse_url((string) $_SERVER['REQUEST_URI'], PHP_URL_PATH))[1];
header('Content-Type: text/event-stream');
echo "id: 5f3a:1\n\n";
$first = ['code' => 1001, 'reason' => 'the broker is shutting down', 'reconnect' => true, 'after_ms' => 20];
$last = ['code' => 4440, 'reason' => 'an operator has ended it', 'reconnect' => false];
$closing = ($_SERVER['HTTP_LAST_EVENT_ID'] ?? '') === '' ? $first : $last + ($error === 'none' ? [] : ['error' => $error]);
echo "event: closing\ndata: ", json_encode($closing), "\n\n";
