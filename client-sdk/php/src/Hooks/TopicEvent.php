<?php

/**
 * Owns the news that a topic has its first subscriber, or none any more. It does not know which of both; the handler
 * does.
 */

declare(strict_types=1);

namespace Fanwire\Hooks;

/** A topic is listened to, or is not any more. */
final class TopicEvent extends Event
{
    /** @param string $topic the topic, which may be a pattern */
    public function __construct(string $id, int $timeMs, string $run, public readonly string $topic)
    {
        parent::__construct($id, $timeMs, $run);
    }
}
