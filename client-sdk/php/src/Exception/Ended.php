<?php

/**
 * Owns the end of listening that the broker has decided on. It does not know of connections that merely break.
 */

declare(strict_types=1);

namespace Fanwire\Exception;

/** The broker ended the stream and said not to come back. */
final class Ended extends FanwireException
{
    public function advice(): string
    {
        return 'Find out why from the message; listening again with the same credentials ends the same way.';
    }
}
