<?php

/**
 * Owns the state of a broker that cannot serve a call now. It does not know the network.
 */

declare(strict_types=1);

namespace Fanwire\Exception;

/** The broker, or a proxy before it, cannot serve this call now. */
final class Unavailable extends FanwireException
{
    public function advice(): string
    {
        return 'Repeat later, after retryAfter seconds if given; if it persists, contact the operator of the broker.';
    }
}
