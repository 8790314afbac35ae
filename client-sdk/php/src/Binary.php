<?php

/**
 * Owns the difference between text and binary, which PHP's strings do not have. It does not know how either travels.
 */

declare(strict_types=1);

namespace Fanwire;

/** A binary payload: `new Binary($bytes)` where a string alone would be text. */
final class Binary
{
    /** Takes any bytes. */
    public function __construct(public readonly string $bytes)
    {
    }
}
