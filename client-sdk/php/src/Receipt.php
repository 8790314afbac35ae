<?php

/**
 * Owns the broker's word that it has taken a publication. It does not know the publication's payload.
 */

declare(strict_types=1);

namespace Fanwire;

/** The broker has taken a publication. */
final class Receipt
{
    /**
     * @param string $topic       where it was published
     * @param string $epoch       the topic's numbering that the offset belongs to
     * @param int    $offset      its place in the topic; growing, not necessarily by one
     * @param int    $subscribers how many subscriptions it matched: 0 says that nobody was listening
     * @param bool   $duplicate   its idempotency key was known already, so it was not published again
     */
    public function __construct(
        public readonly string $topic,
        public readonly string $epoch,
        public readonly int $offset,
        public readonly int $subscribers,
        public readonly bool $duplicate,
    ) {
    }

    /** The place of the publication, as `since` takes it. */
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
