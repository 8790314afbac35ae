<?php

/**
 * Owns calls to a hook that do not come from the broker. It does not know what they said.
 */

declare(strict_types=1);

namespace Fanwire\Exception;

/** A call to a hook is not signed with the secret, or was signed too long ago. */
final class BadSignature extends FanwireException
{
    public function advice(): string
    {
        return 'Answer 401. If it was the broker: compare hooks.secret, and the clocks of both machines.';
    }
}
