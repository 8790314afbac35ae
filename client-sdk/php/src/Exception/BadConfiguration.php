<?php

/**
 * Owns errors that are found before anything is sent. It does not know responses.
 */

declare(strict_types=1);

namespace Fanwire\Exception;

/** The URL, key, secret or option passed to this package is invalid. */
final class BadConfiguration extends FanwireException
{
    public function advice(): string
    {
        return 'Correct the configuration of your application; the message names the value.';
    }
}
