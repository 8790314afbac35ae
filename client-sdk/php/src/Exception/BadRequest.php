<?php

/**
 * Owns errors of the call itself. It does not know permissions or the state of the broker.
 */

declare(strict_types=1);

namespace Fanwire\Exception;

/** The call is invalid: a bad topic or cursor, or a payload that is neither UTF-8 text nor JSON. */
final class BadRequest extends FanwireException
{
    public function advice(): string
    {
        return 'Correct the call; repeating it has the same result.';
    }
}
