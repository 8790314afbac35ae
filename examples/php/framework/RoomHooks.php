<?php

/**
 * The answers of this application to callouts, in one class that does not know the framework: which users may subscribe,
 * which messages they may publish, and requests of pages.
 */

declare(strict_types=1);

namespace App;

use Fanwire\HookServer;
use Fanwire\Hooks\Answer;
use Fanwire\Hooks\PublishCallout;
use Fanwire\Hooks\RequestCallout;
use Fanwire\Hooks\SubscribeCallout;

/** The decisions of the room. Pass what they need to the constructor: repositories, a logger. */
final class RoomHooks
{
    /** Returns a HookServer with the handlers of this class. */
    public function server(#[\SensitiveParameter] string $secret): HookServer
    {
        return (new HookServer($secret))
            ->onSubscribe($this->maySubscribe(...))
            ->onMessage($this->mayPublish(...))
            ->onRequest($this->reply(...));
    }

    private function maySubscribe(SubscribeCallout $callout): bool|Answer
    {
        return $callout->user !== 'Mallory' ? true : $callout->refuse('You have been asked to leave.');
    }

    private function mayPublish(PublishCallout $callout): Answer
    {
        return is_array($callout->data) && is_string($callout->data['text'] ?? null)
            ? $callout->replace(['name' => $callout->user, 'text' => $callout->data['text']])
            : $callout->refuse('A message has a text.');
    }

    private function reply(RequestCallout $callout): Answer
    {
        return match ($callout->method) {
            'time' => $callout->reply(['time' => date('H:i')]),
            default => $callout->refuse('There is no such method.'),
        };
    }
}
