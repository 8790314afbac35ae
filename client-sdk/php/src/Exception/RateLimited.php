<?php

/**
 * Owns refusals of calls beyond a rate. It does not wait.
 */

declare(strict_types=1);

namespace Fanwire\Exception;

/** Publications or connections exceed their rate. */
final class RateLimited extends FanwireException
{
    public function advice(): string
    {
        return 'Wait for retryAfter seconds, then repeat.';
    }
}
