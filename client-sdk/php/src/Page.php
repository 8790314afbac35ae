<?php

/**
 * Owns one page of a topic's history. It does not know how to read the next page; `Broker::pages` does.
 */

declare(strict_types=1);

namespace Fanwire;

/**
 * One page of a topic's history.
 *
 * @implements \IteratorAggregate<int, Message>
 */
final class Page implements \IteratorAggregate, \Countable
{
    /**
     * @param list<Message> $messages the messages, in the requested order
     * @param string        $cursor   the position to continue at: `since` of the next page, or of `Broker::listen`
     * @param bool          $gap      messages after the requested `since` are no longer held
     * @param bool          $more     there are more messages than the limit
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

    /** Returns the number of messages on this page. */
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
