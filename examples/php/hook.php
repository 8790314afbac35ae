<?php
/**
 * Answers the callouts of the broker and receives its webhooks: one URL, one small file, no library.
 *
 *   FANWIRE_HOOKS_SECRET=... php -S localhost:8000 examples/php/hook.php
 *
 * and in the broker's configuration, with the same secret in its FANWIRE_HOOKS_SECRET:
 *
 *   [hooks]
 *   url = "http://localhost:8000/"
 *   callouts = ["connect", "publish", "request"]
 *
 *   [webhooks]
 *   events = ["disconnect"]
 *
 * docs/hooks.md describes every field. An answer that the broker cannot read is a refusal.
 */
declare(strict_types=1);

/** A client connects. */
function onOpen(array $callout): array
{
    error_log("open: {$callout['connection']} over {$callout['transport']}");
    return ['allow' => true];
}

/** A client publishes: removes white space around a text, and refuses an empty text. */
function onMessage(array $callout): array
{
    $data = $callout['data'] ?? null;
    if (!is_string($data)) {
        return ['allow' => true];
    }
    $text = trim($data);
    return $text === '' ? ['allow' => false, 'message' => 'The text is empty.'] : ['allow' => true, 'data' => $text];
}

/** A client sends a request: here you would read your database. */
function onRequest(array $callout): array
{
    return match ($callout['method']) {
        'time' => ['allow' => true, 'data' => ['unix' => time()]],
        default => ['allow' => false, 'message' => 'There is no such method.'],
    };
}

/** A connection has ended. */
function onClose(array $event): void
{
    error_log("close: {$event['connection']} over {$event['transport']}, code {$event['code']}");
}

/** A batch of webhook events, oldest first. An event may come twice, with the same id, if the request before failed. */
function onWebhook(array $batch): array
{
    foreach ($batch['events'] as $event) {
        match ($event['hook']) {
            'disconnect' => onClose($event),
            default => null, // 'occupied', 'vacated', 'join' and 'leave', if webhooks.events has them.
        };
    }
    return [];
}

/** Returns whether the request is signed with the secret, within the last five minutes. */
function isSigned(string $body, string $header, string $secret): bool
{
    if ($secret === '' || !preg_match('/^t=(\d{1,12}),v1=([0-9a-f]{64})$/D', $header, $match)) {
        return false;
    }
    [, $time, $signature] = $match;
    return abs(time() - (int) $time) <= 300 && hash_equals(hash_hmac('sha256', "$time.$body", $secret), $signature);
}

$body = (string) file_get_contents('php://input');
if (!isSigned($body, $_SERVER['HTTP_FANWIRE_SIGNATURE'] ?? '', (string) getenv('FANWIRE_HOOKS_SECRET'))) {
    http_response_code(401);
    exit("This address is for the broker, which signs its requests.\n");
}
// JSON_BIGINT_AS_STRING: a number beyond PHP's int would be rounded to a float.
$fields = json_decode($body, true, 512, JSON_BIGINT_AS_STRING);
header('Content-Type: application/json');
echo json_encode(match ($fields['hook'] ?? '') {
    'connect' => onOpen($fields),
    'publish' => onMessage($fields),
    'request' => onRequest($fields),
    'tell' => onWebhook($fields),
    default => ['allow' => false],
});
