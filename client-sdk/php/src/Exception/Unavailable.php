<?php

/**
 * Owns the state of a broker that cannot do something now. It does not know of the network.
 */

declare(strict_types=1);

namespace Fanwire\Exception;

/** The broker, or a proxy before it, cannot do this now. */
final class Unavailable extends FanwireException
{
    public function advice(): string
    {
        return 'Repeat later, after retryAfter seconds if given; if it stays, ask the operator of the broker.';
    }
}
