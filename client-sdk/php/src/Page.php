<?php

/**
 * Owns one page of a topic's past. It does not know how to get the next one; `Broker::pages` does.
 */

declare(strict_types=1);

namespace Fanwire;

/**
 * One page of what a topic still holds.
 *
 * @implements \IteratorAggregate<int, Message>
 */
final class Page implements \IteratorAggregate, \Countable
{
    /**
     * @param list<Message> $messages in the order asked for
     * @param string        $cursor   where to go on: the `since` of the next page, or of `Broker::listen`
     * @param bool          $gap      something after the `since` asked for is no longer held
     * @param bool          $more     the limit cut something off
     */
    public function __construct(
        public readonly array $messages,
        public readonly string $cursor,
        public readonly bool $gap,
        public readonly bool $more,
    ) {
    }

    /** @return \ArrayIterator<int, Message> */
    public function getIterator(): \ArrayIterator
    {
        return new \ArrayIterator($this->messages);
    }

    /** How many messages are on this page. */
    public function count(): int
    {
        return count($this->messages);
    }

    /**
     * @internal
     * @param array<string, mixed> $fields the broker's JSON
     */
    public static function read(array $fields): self
    {
        $messages = [];
        foreach ((array) ($fields['messages'] ?? []) as $entry) {
            $messages[] = Message::read((array) $entry);
        }
        return new self(
            $messages,
            (string) ($fields['cursor'] ?? ''),
            (bool) ($fields['gap'] ?? false),
            (bool) ($fields['more'] ?? false),
        );
    }
}
