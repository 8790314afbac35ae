<?php

/**
 * Owns one thing that is heard while listening. It does not know how it travelled.
 */

declare(strict_types=1);

namespace Fanwire\Listening;

/**
 * Something heard from the broker.
 *
 * @internal
 */
final class Event
{
    /** The broker has begun to send; nothing is missed from here on. */
    public const OPEN = 'open';
    public const MESSAGE = 'message';
    /** Something between the cursor and now is no longer held. */
    public const GAP = 'gap';
    /** The broker is about to end the stream, and says why. */
    public const CLOSING = 'closing';
    /** Nothing came for a while. */
    public const QUIET = 'quiet';

    /**
     * @param string               $kind   one of the constants above
     * @param array<string, mixed> $fields what the broker's JSON says
     * @param string|null          $cursor the place after it, where it has one
     */
    public function __construct(
        public readonly string $kind,
        public readonly array $fields = [],
        public readonly ?string $cursor = null,
    ) {
    }
}
