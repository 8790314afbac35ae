<?php

/**
 * Owns the result of each message of a batch, in the order of the batch. It does not send anything.
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

    /** Returns whether every message was accepted. */
    public function isComplete(): bool
    {
        return $this->refusals() === [];
    }

    /** @return array<int, Receipt> the receipts of accepted messages, by their index in the batch */
    public function receipts(): array
    {
        return array_filter($this->results, static fn ($result): bool => $result instanceof Receipt);
    }

    /** @return array<int, Refusal> the refusals, by the index of the message in the batch */
    public function refusals(): array
    {
        return array_filter($this->results, static fn ($result): bool => $result instanceof Refusal);
    }

    /** @return \ArrayIterator<int, Receipt|Refusal> */
    public function getIterator(): \ArrayIterator
    {
        return new \ArrayIterator($this->results);
    }

    /** Returns the number of messages in the batch. */
    public function count(): int
    {
        return count($this->results);
    }
}
