<?php

/**
 * Owns how long to wait before the next try. It does not sleep, and does not know what is tried.
 */

declare(strict_types=1);

namespace Fanwire;

/**
 * Waits that double up to a bound and are drawn evenly from zero ("full jitter"), so that not everybody comes back in
 * the same moment.
 *
 * @internal
 */
final class Backoff
{
    private int $tries = 0;

    /**
     * @param float $first the bound of the first wait, in seconds
     * @param float $most  the bound of every later one, in seconds
     */
    public function __construct(private readonly float $first, private readonly float $most)
    {
    }

    /** The next wait, in seconds. */
    public function next(): float
    {
        $bound = min($this->most, $this->first * 2 ** min($this->tries, 30));
        $this->tries++;
        return $bound * random_int(0, 1_000_000) / 1_000_000;
    }

    /** Begins anew, after a success. */
    public function reset(): void
    {
        $this->tries = 0;
    }
}
