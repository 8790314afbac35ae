<?php

/**
 * Owns callouts and webhooks that do not come from the broker. It does not know their contents.
 */

declare(strict_types=1);

namespace Fanwire\Exception;

/** A callout or webhook is not signed with the secret, or was signed too long ago. */
final class BadSignature extends FanwireException
{
    public function advice(): string
    {
        return 'Answer 401. If the broker sent it, compare hooks.secret and the clocks of both machines.';
    }
}
