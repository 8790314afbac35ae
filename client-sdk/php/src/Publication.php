<?php

/**
 * Owns what one message of a batch is asked to be. It does not know what became of it; that is a Receipt or a Refusal.
 */

declare(strict_types=1);

namespace Fanwire;

/** One message for `Broker::publishMany`. */
final class Publication
{
    /**
     * Takes the topic, the payload (a string is text, a Binary is binary, all else is JSON) and an idempotency key;
     * without one the client makes its own, so that its retries never double.
     */
    public function __construct(
        public readonly string $topic,
        public readonly mixed $payload,
        public readonly ?string $key = null,
    ) {
    }
}
