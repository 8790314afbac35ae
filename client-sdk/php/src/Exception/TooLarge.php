<?php

/**
 * Owns payloads and answers beyond a size. It does not know whose limit it was; the message does.
 */

declare(strict_types=1);

namespace Fanwire\Exception;

/** The payload, or what was asked for, is larger than one call may carry. */
final class TooLarge extends FanwireException
{
    public function advice(): string
    {
        return 'Send less at once, or ask for less (limit); limits.message_bytes_max of the broker bounds messages.';
    }
}
