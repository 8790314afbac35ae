<?php

/**
 * What the broker asks this site: who may listen where, what may be said, and questions of pages. The same secret stands in
 * the broker's configuration (hooks.secret).
 */

declare(strict_types=1);

use Fanwire\HookServer;
use Fanwire\Hooks\PublishCall;
use Fanwire\Hooks\RequestCall;
use Fanwire\Hooks\SubscribeCall;

require __DIR__ . '/settings.php';

$hooks = new HookServer((string) getenv('HOOKS_SECRET'));

$hooks->onSubscribe(function (SubscribeCall $call) {
    return $call->user !== 'Mallory' ? true : $call->refuse('You have been asked to leave.');
});

$hooks->onMessage(function (PublishCall $call) {
    // What browsers publish themselves comes by here. What this site publishes does not: its key is an administrator's.
    return is_array($call->data) && is_string($call->data['text'] ?? null)
        ? $call->replace(['name' => $call->user, 'text' => iconv_substr($call->data['text'], 0, 500, 'UTF-8')])
        : $call->refuse('A message has a text.');
});

$hooks->onRequest(fn (RequestCall $call) => match ($call->method) {
    'time' => $call->reply(['time' => date('H:i')]),
    default => $call->refuse('There is no such question.'),
});

$hooks->serve();
