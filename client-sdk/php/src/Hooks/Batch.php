<?php

/**
 * Owns one batch of events as the broker tells it. It does not know who handles them.
 */

declare(strict_types=1);

namespace Fanwire\Hooks;

/** Many things have happened, oldest first. */
final class Batch
{
    /**
     * @param string                    $run     the name of the broker's run; a new one each time the broker starts
     * @param int                       $attempt which attempt to tell it this is, from 1
     * @param int                       $lost    how many events could not be told since the last batch you took: if
     *                                           not 0, what you know of topics and users may be wrong
     * @param list<array{string, Event}> $events the names of hooks with what happened; those unknown here are left out
     */
    public function __construct(
        public readonly string $run,
        public readonly int $attempt,
        public readonly int $lost,
        public readonly array $events,
    ) {
    }
}
