<?php

/**
 * Owns refusals of permissions. It does not know the rules behind them.
 */

declare(strict_types=1);

namespace Fanwire\Exception;

/** The key or token does not permit this, or the application refused it in a callout. */
final class Forbidden extends FanwireException
{
    public function advice(): string
    {
        return 'Grant the key or token the permission; repeating the call has the same result.';
    }
}
