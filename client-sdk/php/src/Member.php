<?php

/**
 * Owns one user who is present in a topic. It does not know the topic.
 */

declare(strict_types=1);

namespace Fanwire;

/** Somebody who is there: once, however many connections they have. */
final class Member
{
    /**
     * @param string|null $user       who, or null for a session without a user id, which counts by itself
     * @param string      $connection the connection they came with
     * @param mixed       $info       what your application has put into their token: a JSON value or a Binary
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
