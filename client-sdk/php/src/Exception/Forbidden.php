<?php

/**
 * Owns refusals of the one who asks. It does not know the rules behind them.
 */

declare(strict_types=1);

namespace Fanwire\Exception;

/** Whoever asks may not do this, or the application behind a hook has refused it. */
final class Forbidden extends FanwireException
{
    public function advice(): string
    {
        return 'Grant the key or token what it needs, or do without; repeating it ends the same way.';
    }
}
