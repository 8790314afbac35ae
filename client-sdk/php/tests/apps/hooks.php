<?php

/**
 * The application of HookServerTest, under `php -S`. Its decisions are unusual on purpose, so that no other component
 * would make them.
 */

declare(strict_types=1);

use Fanwire\HookServer;
use Fanwire\Hooks\ConnectCallout;
use Fanwire\Hooks\PublishCallout;
use Fanwire\Hooks\RequestCallout;
use Fanwire\Hooks\SubscribeCallout;

require __DIR__ . '/../../autoload.php';

$hooks = new HookServer((string) getenv('HOOKS_SECRET'));
$hooks
    ->onConnect(function (ConnectCallout $callout) {
        error_log("connect {$callout->transport}");
        return $callout->allow(
            user: 'guest-' . $callout->transport,
            info: ['via' => $callout->transport],
            subscribe: ['php.>'],
            publish: ['php.>'],
        );
    })
    ->onSubscribe(fn (SubscribeCallout $callout) => $callout->topic === 'php.closed' ? $callout->refuse('This room is closed.') : true)
    ->onMessage(function (PublishCallout $callout) {
        return match (true) {
            $callout->data === 'forgot' => null,
            $callout->data === 'throw' => throw new RuntimeException('a secret of the application'),
            $callout->data === 'no' => false,
            $callout->data instanceof Fanwire\Binary => $callout->replace(new Fanwire\Binary(strrev($callout->data->bytes))),
            is_string($callout->data) => $callout->replace(trim($callout->data)),
            default => $callout->allow(),
        };
    })
    ->onRequest(fn (RequestCallout $callout) => match ($callout->method) {
        'double' => $callout->reply(['user' => $callout->user, 'doubled' => 2 * $callout->data['n']]),
        'bytes' => $callout->reply(new Fanwire\Binary("\0\xff")),
        default => $callout->refuse('There is no such method.'),
    });
$hooks->serve();
