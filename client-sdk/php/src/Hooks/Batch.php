<?php

/**
 * Owns one batch of webhook events as the broker sends it. It does not know which handlers receive the events.
 */

declare(strict_types=1);

namespace Fanwire\Hooks;

/** A batch of webhook events, oldest first. */
final class Batch
{
    /**
     * @param string                     $run     the id of the broker's run; it changes each time the broker starts
     * @param int                        $attempt the number of this attempt to deliver the batch, from 1
     * @param int                        $lost    the number of events dropped since the last batch that you accepted;
     *                                            if not 0, your data about topics and users may be wrong
     * @param list<array{string, Event}> $events  the kind of each event with the event; unknown kinds are left out
     */
    public function __construct(
        public readonly string $run,
        public readonly int $attempt,
        public readonly int $lost,
        public readonly array $events,
    ) {
    }
}
