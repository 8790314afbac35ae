<?php

/**
 * Owns errors of the call itself. It does not know of rights or of the state of the broker.
 */

declare(strict_types=1);

namespace Fanwire\Exception;

/** The call cannot be understood: a topic that is none, a payload that is neither text nor JSON, a bad cursor. */
final class BadRequest extends FanwireException
{
    public function advice(): string
    {
        return 'Correct the call; repeating it as it is ends the same way.';
    }
}
