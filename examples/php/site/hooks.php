<?php

/**
 * Answers the callouts of the broker: which visitors may subscribe, which messages they may publish, and requests of pages.
 * The secret is hooks.secret of the broker.
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
    // Messages that browsers publish themselves. There is no callout for messages of this site: its key is an admin key.
    return is_array($callout->data) && is_string($callout->data['text'] ?? null)
        ? $callout->replace(['name' => $callout->user, 'text' => iconv_substr($callout->data['text'], 0, 500, 'UTF-8')])
        : $callout->refuse('A message has a text.');
});

$hooks->onRequest(fn (RequestCallout $callout) => match ($callout->method) {
    'time' => $callout->reply(['time' => date('H:i')]),
    default => $callout->refuse('There is no such method.'),
});

$hooks->serve();
