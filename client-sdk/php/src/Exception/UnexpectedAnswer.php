<?php

/**
 * Owns responses that no fanwire broker gives. It does not know what gave them.
 */

declare(strict_types=1);

namespace Fanwire\Exception;

/** A response that is not from a fanwire broker: a web page, a redirect, or an incomplete response. */
final class UnexpectedAnswer extends FanwireException
{
    public function advice(): string
    {
        return 'Check the URL, and the proxy before the broker.';
    }
}
