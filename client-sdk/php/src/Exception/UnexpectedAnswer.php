<?php

/**
 * Owns answers that no fanwire broker gives. It does not know who gave them.
 */

declare(strict_types=1);

namespace Fanwire\Exception;

/** Something answered that is no fanwire broker: a web page, a redirect, something cut off. */
final class UnexpectedAnswer extends FanwireException
{
    public function advice(): string
    {
        return 'Check the URL, and what a proxy before the broker makes of it.';
    }
}
