<?php

/**
 * An event stream that says goodbye as a broker does: the first time to come back at once, then for good, with the error
 * that the path names (/ERROR/topics/…). It knows no topics.
 */

declare(strict_types=1);

$error = explode('/', (string) parse_url((string) $_SERVER['REQUEST_URI'], PHP_URL_PATH))[1];
header('Content-Type: text/event-stream');
echo "id: 5f3a:1\n\n";
$first = ['code' => 1001, 'reason' => 'the broker is shutting down', 'reconnect' => true, 'after_ms' => 20];
$last = ['code' => 4440, 'reason' => 'an operator has ended it', 'reconnect' => false];
$closing = ($_SERVER['HTTP_LAST_EVENT_ID'] ?? '') === '' ? $first : $last + ($error === 'none' ? [] : ['error' => $error]);
echo "event: closing\ndata: ", json_encode($closing), "\n\n";
