<?php

/**
 * What the broker asks this application, in one class that knows of no framework: who may listen, what may be said, and
 * questions of pages.
 */

declare(strict_types=1);

namespace App;

use Fanwire\HookServer;
use Fanwire\Hooks\Answer;
use Fanwire\Hooks\PublishCall;
use Fanwire\Hooks\RequestCall;
use Fanwire\Hooks\SubscribeCall;

/** The decisions of the room. Give its constructor what they need: repositories, a logger. */
final class RoomHooks
{
    /** A server that asks this class. */
    public function server(#[\SensitiveParameter] string $secret): HookServer
    {
        return (new HookServer($secret))
            ->onSubscribe($this->maySubscribe(...))
            ->onMessage($this->mayPublish(...))
            ->onRequest($this->reply(...));
    }

    private function maySubscribe(SubscribeCall $call): bool|Answer
    {
        return $call->user !== 'Mallory' ? true : $call->refuse('You have been asked to leave.');
    }

    private function mayPublish(PublishCall $call): Answer
    {
        return is_array($call->data) && is_string($call->data['text'] ?? null)
            ? $call->replace(['name' => $call->user, 'text' => $call->data['text']])
            : $call->refuse('A message has a text.');
    }

    private function reply(RequestCall $call): Answer
    {
        return match ($call->method) {
            'time' => $call->reply(['time' => date('H:i')]),
            default => $call->refuse('There is no such question.'),
        };
    }
}
