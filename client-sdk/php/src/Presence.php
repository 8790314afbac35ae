<?php

/**
 * Owns who is present in a topic at one moment. It does not follow who comes and goes; hooks and pages are told of
 * that.
 */

declare(strict_types=1);

namespace Fanwire;

/**
 * Who is there.
 *
 * @implements \IteratorAggregate<int, Member>
 */
final class Presence implements \IteratorAggregate, \Countable
{
    /**
     * @param list<Member> $members
     * @param bool         $more    there are more than the broker names at once (`limits.presence_members_max`)
     */
    public function __construct(public readonly array $members, public readonly bool $more)
    {
    }

    /** Whether a user is among those named. */
    public function has(string $user): bool
    {
        foreach ($this->members as $member) {
            if ($member->user === $user) {
                return true;
            }
        }
        return false;
    }

    /** @return \ArrayIterator<int, Member> */
    public function getIterator(): \ArrayIterator
    {
        return new \ArrayIterator($this->members);
    }

    /** How many are named. */
    public function count(): int
    {
        return count($this->members);
    }

    /**
     * @internal
     * @param array<string, mixed> $fields the broker's JSON
     */
    public static function read(array $fields): self
    {
        $read = static fn (mixed $entry): Member => Member::read((array) $entry);
        return new self(
            array_map($read, array_values((array) ($fields['members'] ?? []))),
            (bool) ($fields['more'] ?? false),
        );
    }
}
