<?php

/**
 * Owns errors that are found before anything is sent. It does not know of answers.
 */

declare(strict_types=1);

namespace Fanwire\Exception;

/** The URL, key or secret given to this package cannot be right. */
final class BadConfiguration extends FanwireException
{
    public function advice(): string
    {
        return 'Correct what the message names in the configuration of your application.';
    }
}
