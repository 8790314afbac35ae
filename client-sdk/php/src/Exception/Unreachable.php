<?php

/**
 * Owns calls that got no answer. It does not know whether the broker has acted on them.
 */

declare(strict_types=1);

namespace Fanwire\Exception;

/** No answer came: nothing listens there, the name is unknown, TLS failed, or the time was up. */
final class Unreachable extends FanwireException
{
    public function advice(): string
    {
        return 'Check that the broker runs at this URL, then repeat; a publish with the same key is never doubled.';
    }
}
