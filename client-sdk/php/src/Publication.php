<?php

/**
 * Owns one message of a batch. It does not know its result, which is a Receipt or a Refusal.
 */

declare(strict_types=1);

namespace Fanwire;

/** One message for `Broker::publishMany`. */
final class Publication
{
    /**
     * Takes the topic, the payload (a string is text, a Binary is binary, everything else is JSON) and an idempotency
     * key. Without a key the client makes one, so that its retries never publish twice.
     */
    public function __construct(
        public readonly string $topic,
        public readonly mixed $payload,
        public readonly ?string $key = null,
    ) {
    }
}
