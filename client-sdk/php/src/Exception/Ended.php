<?php

/**
 * Owns the end of a stream by decision of the broker. It does not know broken connections.
 */

declare(strict_types=1);

namespace Fanwire\Exception;

/** The broker ended the stream and forbids reconnecting. */
final class Ended extends FanwireException
{
    public function advice(): string
    {
        return 'Read the message for the reason; listening again with the same credentials has the same result.';
    }
}
