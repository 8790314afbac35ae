<?php

/**
 * Owns one member of a topic with presence. It does not know the topic.
 */

declare(strict_types=1);

namespace Fanwire;

/** A member of a topic: a user, once over all its connections, or a session without a user id. */
final class Member
{
    /**
     * @param string|null $user       the user id; null for a session without one, which is a member by itself
     * @param string      $connection the id of the connection that joined first
     * @param mixed       $info       the info of the member's token: a JSON value or a Binary
     */
    public function __construct(
        public readonly ?string $user,
        public readonly string $connection,
        public readonly mixed $info,
    ) {
    }

    /**
     * @internal
     * @param array<string, mixed> $fields the broker's JSON
     */
    public static function read(array $fields): self
    {
        $user = (string) ($fields['user'] ?? '');
        $bytes = isset($fields['info_base64']) ? base64_decode((string) $fields['info_base64'], true) : false;
        return new self(
            $user === '' ? null : $user,
            (string) ($fields['connection'] ?? ''),
            $bytes === false ? $fields['info'] ?? null : new Binary($bytes),
        );
    }
}
