<?php

/**
 * Owns what the broker says of one session. It does not know how to act on it; Sessions does.
 */

declare(strict_types=1);

namespace Fanwire;

/** One client that is connected now. */
final class Session
{
    /**
     * @param string            $connection    its name, as hooks and presence say it
     * @param string|null       $user          whose it is, if known
     * @param string|null       $name          the client software's name
     * @param string            $transport     ws, bare, sse or poll
     * @param int               $openedMs      when it began, in milliseconds since 1970
     * @param int               $subscriptions how many topics and patterns it is subscribed to
     * @param int               $outboxBytes   what waits to be written to it
     * @param list<string>|null $topics        what it is subscribed to, where one session was asked about
     */
    public function __construct(
        public readonly string $connection,
        public readonly ?string $user,
        public readonly ?string $name,
        public readonly string $transport,
        public readonly int $openedMs,
        public readonly int $subscriptions,
        public readonly int $outboxBytes,
        public readonly ?array $topics,
    ) {
    }

    /**
     * @internal
     * @param array<string, mixed> $fields the broker's JSON
     */
    public static function read(array $fields): self
    {
        $text = static fn (string $name): ?string => isset($fields[$name]) ? (string) $fields[$name] : null;
        return new self(
            $text('connection') ?? '',
            $text('user'),
            $text('name'),
            $text('transport') ?? '',
            Payload::int($fields, 'opened') ?? 0,
            Payload::int($fields, 'subscriptions') ?? 0,
            Payload::int($fields, 'outbox_bytes') ?? 0,
            isset($fields['topics']) ? array_map('strval', array_values((array) $fields['topics'])) : null,
        );
    }
}
