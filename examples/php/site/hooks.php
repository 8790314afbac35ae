<?php

/**
 * What the broker asks this site: who may listen where, what may be said, and questions of pages. The same secret stands in
 * the broker's configuration (hooks.secret).
 */

declare(strict_types=1);

use Fanwire\HookServer;
use Fanwire\Hooks\PublishCallout;
use Fanwire\Hooks\RequestCallout;
use Fanwire\Hooks\SubscribeCallout;

require __DIR__ . '/settings.php';

$hooks = new HookServer((string) getenv('HOOKS_SECRET'));

$hooks->onSubscribe(function (SubscribeCallout $callout) {
    return $callout->user !== 'Mallory' ? true : $callout->refuse('You have been asked to leave.');
});

$hooks->onMessage(function (PublishCallout $callout) {
    // What browsers publish themselves comes by here. What this site publishes does not: its key is an administrator's.
    return is_array($callout->data) && is_string($callout->data['text'] ?? null)
        ? $callout->replace(['name' => $callout->user, 'text' => iconv_substr($callout->data['text'], 0, 500, 'UTF-8')])
        : $callout->refuse('A message has a text.');
});

$hooks->onRequest(fn (RequestCallout $callout) => match ($callout->method) {
    'time' => $callout->reply(['time' => date('H:i')]),
    default => $callout->refuse('There is no such question.'),
});

$hooks->serve();
