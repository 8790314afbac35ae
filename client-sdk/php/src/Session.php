<?php

/**
 * Owns what the broker reports of one session. It does not know how to act on it; Sessions does.
 */

declare(strict_types=1);

namespace Fanwire;

/** A session: one connected client. */
final class Session
{
    /**
     * @param string            $connection    its id, as callouts, webhooks and presence name it
     * @param string|null       $user          the user id, if known
     * @param string|null       $name          the name of the client software
     * @param string            $transport     ws, bare, sse or poll
     * @param int               $openedMs      when it began, in milliseconds since 1970
     * @param int               $subscriptions the number of its subscriptions
     * @param int               $outboxBytes   the size of its outbox, in bytes
     * @param list<string>|null $topics        the topics and patterns of its subscriptions; null in a list of sessions
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
