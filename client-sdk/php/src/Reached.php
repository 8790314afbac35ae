<?php

/**
 * Owns the result of a server API call for all sessions of a user. It does not know the call.
 */

declare(strict_types=1);

namespace Fanwire;

/** The number of sessions of a user that a call reached, and the failures. */
final class Reached
{
    /**
     * @param int                                                 $sessions the number; 0 for a user without sessions
     * @param array<string, array{code: string, message: string}> $failed   the errors, by connection id
     */
    public function __construct(public readonly int $sessions, public readonly array $failed)
    {
    }

    /**
     * @internal
     * @param array<string, mixed> $fields the broker's JSON
     */
    public static function read(array $fields): self
    {
        $failed = [];
        foreach ((array) ($fields['failed'] ?? []) as $entry) {
            $text = static fn (string $name): string => (string) ($entry[$name] ?? '');
            $failed[$text('connection')] = ['code' => $text('code'), 'message' => $text('message')];
        }
        return new self(Payload::int($fields, 'sessions') ?? 0, $failed);
    }
}
