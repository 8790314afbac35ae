<?php

/**
 * Owns the webhook events `occupied` and `vacated`. It does not know which of the two it is; the handler does.
 */

declare(strict_types=1);

namespace Fanwire\Hooks;

/** A topic has its first subscriber, or has had none for a while. */
final class TopicEvent extends Event
{
    /** @param string $topic the topic, which may be a pattern */
    public function __construct(string $id, int $timeMs, string $run, public readonly string $topic)
    {
        parent::__construct($id, $timeMs, $run);
    }
}
