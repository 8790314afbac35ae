<?php

/**
 * Owns what all events share that the broker tells of. What happened, its subclasses know.
 */

declare(strict_types=1);

namespace Fanwire\Hooks;

/** Something has happened. */
abstract class Event
{
    /**
     * @param string $id     the name of the event: it may be told twice, and then has the same one
     * @param int    $timeMs when it happened, in milliseconds since 1970
     * @param string $run    the name of the broker's run: when it changes, nobody of the run before is there any more
     */
    public function __construct(
        public readonly string $id,
        public readonly int $timeMs,
        public readonly string $run,
    ) {
    }
}
