<?php

/**
 * Owns what came of acting on all sessions of a user. It does not know what was done.
 */

declare(strict_types=1);

namespace Fanwire;

/** How many sessions of a user were reached, and which were not. */
final class Reached
{
    /**
     * @param int                                                 $sessions how many; 0 if the user is not connected
     * @param array<string, array{code: string, message: string}> $failed   why not, by the connection's name
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
