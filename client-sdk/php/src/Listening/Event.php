<?php

/**
 * Owns one event of a subscription. It does not know the transport.
 */

declare(strict_types=1);

namespace Fanwire\Listening;

/**
 * An event of a subscription.
 *
 * @internal
 */
final class Event
{
    /** The subscription has begun: from here on every message arrives. */
    public const OPEN = 'open';
    public const MESSAGE = 'message';
    /** Messages between the cursor and now are no longer held. */
    public const GAP = 'gap';
    /** The broker is about to end the stream, and gives the reason. */
    public const CLOSING = 'closing';
    /** No event came for a while. */
    public const QUIET = 'quiet';

    /**
     * @param string               $kind   one of the constants above
     * @param array<string, mixed> $fields the broker's JSON
     * @param string|null          $cursor the cursor after it, where it has one
     */
    public function __construct(
        public readonly string $kind,
        public readonly array $fields = [],
        public readonly ?string $cursor = null,
    ) {
    }
}
