<?php

/**
 * Owns the receipt of a publication. It does not know the payload.
 */

declare(strict_types=1);

namespace Fanwire;

/** The receipt of a publication that the broker has accepted. */
final class Receipt
{
    /**
     * @param string $topic       the topic
     * @param string $epoch       the epoch of its position
     * @param int    $offset      the offset of its position; it grows, not necessarily by one
     * @param int    $subscribers the number of subscriptions that it matched
     * @param bool   $duplicate   its idempotency key was known, so it was not published again
     */
    public function __construct(
        public readonly string $topic,
        public readonly string $epoch,
        public readonly int $offset,
        public readonly int $subscribers,
        public readonly bool $duplicate,
    ) {
    }

    /** Returns the position of the publication, for `since`. */
    public function cursor(): string
    {
        return "{$this->epoch}:{$this->offset}";
    }

    /**
     * @internal
     * @param array<string, mixed> $fields the broker's JSON
     */
    public static function read(array $fields): self
    {
        return new self(
            (string) ($fields['topic'] ?? ''),
            (string) ($fields['epoch'] ?? ''),
            Payload::int($fields, 'offset') ?? 0,
            Payload::int($fields, 'subscribers') ?? 0,
            (bool) ($fields['duplicate'] ?? false),
        );
    }
}
