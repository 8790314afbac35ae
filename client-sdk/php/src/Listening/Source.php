<?php

/**
 * Owns the seam between what is heard and the connection that carries it. It does not know of reconnecting.
 */

declare(strict_types=1);

namespace Fanwire\Listening;

use Fanwire\Exception\FanwireException;

/**
 * One way to hear what is published.
 *
 * @internal
 */
interface Source
{
    /**
     * Hears until the connection ends.
     *
     * @param string|null $since  where to begin the very first time: a place as `since` has it in URLs, or null for now
     * @param string|null $cursor where to go on, once there is a cursor; it counts for more than `$since`
     * @return \Generator<int, Event> with a QUIET event at least once a second where the connection allows that
     * @throws FanwireException when the broker refuses or cannot be reached
     */
    public function events(?string $since, ?string $cursor): \Generator;
}
