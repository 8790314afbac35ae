<?php

/**
 * Owns payloads and responses beyond a size. It does not know whose limit it was; the message does.
 */

declare(strict_types=1);

namespace Fanwire\Exception;

/** The payload, or the response, is larger than one call permits. */
final class TooLarge extends FanwireException
{
    public function advice(): string
    {
        return 'Send less in one call, or read less (limit); limits.message_bytes_max of the broker is the limit of a message.';
    }
}
