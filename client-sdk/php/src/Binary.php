<?php

/**
 * Owns the difference between text and binary, which PHP strings do not have. It does not know the wire formats.
 */

declare(strict_types=1);

namespace Fanwire;

/** A binary payload. A string alone is a text payload. */
final class Binary
{
    /** Takes any bytes. */
    public function __construct(public readonly string $bytes)
    {
    }
}
