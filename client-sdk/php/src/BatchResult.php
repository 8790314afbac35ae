<?php

/**
 * Owns what became of each message of a batch, in the order in which they were given. It does not send anything.
 */

declare(strict_types=1);

namespace Fanwire;

/**
 * The results of `Broker::publishMany`: a Receipt or a Refusal for each message, in order.
 *
 * @implements \IteratorAggregate<int, Receipt|Refusal>
 */
final class BatchResult implements \IteratorAggregate, \Countable
{
    /** @param list<Receipt|Refusal> $results */
    public function __construct(public readonly array $results)
    {
    }

    /** Whether every message was taken. */
    public function isComplete(): bool
    {
        return $this->refusals() === [];
    }

    /** @return array<int, Receipt> those that were taken, by their place in the batch */
    public function receipts(): array
    {
        return array_filter($this->results, static fn ($result): bool => $result instanceof Receipt);
    }

    /** @return array<int, Refusal> those that were not, by their place in the batch */
    public function refusals(): array
    {
        return array_filter($this->results, static fn ($result): bool => $result instanceof Refusal);
    }

    /** @return \ArrayIterator<int, Receipt|Refusal> */
    public function getIterator(): \ArrayIterator
    {
        return new \ArrayIterator($this->results);
    }

    /** How many messages were in the batch. */
    public function count(): int
    {
        return count($this->results);
    }
}
