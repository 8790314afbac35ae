<?php

/**
 * Owns calls without a response. It does not know whether the broker has received them.
 */

declare(strict_types=1);

namespace Fanwire\Exception;

/** No response: no server at this address, an unknown host name, a TLS error, or a timeout. */
final class Unreachable extends FanwireException
{
    public function advice(): string
    {
        return 'Check that the broker runs at this URL, then repeat; a publish with the same key is never published twice.';
    }
}
