<?php

/**
 * Owns the wait before the next attempt. It does not sleep, and does not know what is attempted.
 */

declare(strict_types=1);

namespace Fanwire;

/**
 * Waits that double up to a maximum and are drawn evenly from zero ("full jitter"), so that clients do not reconnect in
 * the same moment.
 *
 * @internal
 */
final class Backoff
{
    private int $tries = 0;

    /**
     * @param float $first the maximum of the first wait, in seconds
     * @param float $most  the maximum of every wait, in seconds
     */
    public function __construct(private readonly float $first, private readonly float $most)
    {
    }

    /** Returns the next wait, in seconds. */
    public function next(): float
    {
        $bound = min($this->most, $this->first * 2 ** min($this->tries, 30));
        $this->tries++;
        return $bound * random_int(0, 1_000_000) / 1_000_000;
    }

    /** Begins with the first wait again, after a success. */
    public function reset(): void
    {
        $this->tries = 0;
    }
}
