<?php

/**
 * Owns refused credentials. It does not know their value.
 */

declare(strict_types=1);

namespace Fanwire\Exception;

/** Credentials are missing, refused, or expired (errorCode token_expired). */
final class Unauthorized extends FanwireException
{
    public function advice(): string
    {
        return 'Pass the Broker an API key or token that the broker accepts; replace an expired token.';
    }
}
