<?php

/**
 * Owns the members of a topic at one moment. It does not follow changes; webhooks and pages receive them.
 */

declare(strict_types=1);

namespace Fanwire;

/**
 * The members of a topic.
 *
 * @implements \IteratorAggregate<int, Member>
 */
final class Presence implements \IteratorAggregate, \Countable
{
    /**
     * @param list<Member> $members
     * @param bool         $more    there are more members than one response names (`limits.presence_members_max`)
     */
    public function __construct(public readonly array $members, public readonly bool $more)
    {
    }

    /** Returns whether a user is among the named members. */
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

    /** Returns the number of named members. */
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
