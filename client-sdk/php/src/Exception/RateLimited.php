<?php

/**
 * Owns refusals of what comes too fast. It does not wait itself.
 */

declare(strict_types=1);

namespace Fanwire\Exception;

/** Publications or connections come faster than they may. */
final class RateLimited extends FanwireException
{
    public function advice(): string
    {
        return 'Wait for retryAfter seconds, then repeat.';
    }
}
