<?php

/**
 * Owns refused credentials. It does not know what they were.
 */

declare(strict_types=1);

namespace Fanwire\Exception;

/** Credentials are missing, refused, or at their end (errorCode token_expired). */
final class Unauthorized extends FanwireException
{
    public function advice(): string
    {
        return 'Show an API key or token that the broker knows; a token that has ended is replaced by a new one.';
    }
}
