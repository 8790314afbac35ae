<?php

/**
 * The application of the hook tests, under `php -S`. What it decides is odd on purpose, so that a test can tell its
 * answers from anybody else's.
 */

declare(strict_types=1);

use Fanwire\HookServer;
use Fanwire\Hooks\ConnectCall;
use Fanwire\Hooks\PublishCall;
use Fanwire\Hooks\RequestCall;
use Fanwire\Hooks\SubscribeCall;

require __DIR__ . '/../../autoload.php';

$hooks = new HookServer((string) getenv('HOOKS_SECRET'));
$hooks
    ->onConnect(function (ConnectCall $call) {
        error_log("connect {$call->transport}");
        return $call->admit(
            user: 'guest-' . $call->transport,
            info: ['via' => $call->transport],
            subscribe: ['php.>'],
            publish: ['php.>'],
        );
    })
    ->onSubscribe(fn (SubscribeCall $call) => $call->topic === 'php.closed' ? $call->refuse('This room is closed.') : true)
    ->onMessage(function (PublishCall $call) {
        return match (true) {
            $call->data === 'forgot' => null,
            $call->data === 'throw' => throw new RuntimeException('a secret of the application'),
            $call->data === 'no' => false,
            $call->data instanceof Fanwire\Binary => $call->replace(new Fanwire\Binary(strrev($call->data->bytes))),
            is_string($call->data) => $call->replace(trim($call->data)),
            default => $call->allow(),
        };
    })
    ->onRequest(fn (RequestCall $call) => match ($call->method) {
        'double' => $call->reply(['user' => $call->user, 'doubled' => 2 * $call->data['n']]),
        'bytes' => $call->reply(new Fanwire\Binary("\0\xff")),
        default => $call->refuse('There is no such method.'),
    });
$hooks->serve();
