<?php
/**
 * What the broker asks your application before it lets something happen, and tells it afterwards: one URL, one small file, no library.
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
 * docs/hooks.md describes every field. Whatever this file does not answer properly, the broker takes for a no.
 */
declare(strict_types=1);

/** Somebody connects. */
function onOpen(array $call): array
{
    error_log("open: {$call['connection']} over {$call['transport']}");
    return ['allow' => true];
}

/** Somebody publishes: text is cleaned up, and what says nothing is refused. */
function onMessage(array $call): array
{
    $data = $call['data'] ?? null;
    if (!is_string($data)) {
        return ['allow' => true];
    }
    $text = trim($data);
    return $text === '' ? ['allow' => false, 'message' => 'Say something.'] : ['allow' => true, 'data' => $text];
}

/** Somebody asks: here you would look into your database. */
function onRequest(array $call): array
{
    return match ($call['method']) {
        'time' => ['allow' => true, 'data' => ['unix' => time()]],
        default => ['allow' => false, 'message' => 'There is no such method.'],
    };
}

/** Somebody has gone. */
function onClose(array $event): void
{
    error_log("close: {$event['connection']} over {$event['transport']}, code {$event['code']}");
}

/** Many things have happened, oldest first. An event may come twice, with the same id, if the call before broke off. */
function onTold(array $call): array
{
    foreach ($call['events'] as $event) {
        match ($event['hook']) {
            'disconnect' => onClose($event),
            default => null, // 'occupied', 'vacated', 'join' and 'leave', if you ask to be told of them.
        };
    }
    return [];
}

/** Whether the call comes from somebody who knows the secret, and is not an old one sent again. */
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
    exit("This is for the broker, which signs what it sends.\n");
}
$call = json_decode($body, true);
header('Content-Type: application/json');
echo json_encode(match ($call['hook'] ?? '') {
    'connect' => onOpen($call),
    'publish' => onMessage($call),
    'request' => onRequest($call),
    'tell' => onTold($call),
    default => ['allow' => false],
});
