<?php

/**
 * Owns the seam between a subscription and its transport. It does not know reconnecting.
 */

declare(strict_types=1);

namespace Fanwire\Listening;

use Fanwire\Exception\FanwireException;

/**
 * One transport of subscriptions.
 *
 * @internal
 */
interface Source
{
    /**
     * Returns events until the connection ends.
     *
     * @param string|null $since  the first start point, as `since` in URLs; null for now
     * @param string|null $cursor the position at which to continue; it takes precedence over `$since`
     * @return \Generator<int, Event> with a QUIET event at least once a second where the transport permits it
     * @throws FanwireException when the broker refuses or cannot be reached
     */
    public function events(?string $since, ?string $cursor): \Generator;
}
