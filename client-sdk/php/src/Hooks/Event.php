<?php

/**
 * Owns what all webhook events share. The subclasses know what happened.
 */

declare(strict_types=1);

namespace Fanwire\Hooks;

/** A webhook event: something has happened. */
abstract class Event
{
    /**
     * @param string $id     the id of the event; an event that is delivered twice has the same id both times
     * @param int    $timeMs when it happened, in milliseconds since 1970
     * @param string $run    the id of the broker's run; when it changes, all connections of the run before have ended
     */
    public function __construct(
        public readonly string $id,
        public readonly int $timeMs,
        public readonly string $run,
    ) {
    }
}
