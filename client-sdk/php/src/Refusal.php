<?php

/**
 * Owns the refusal of one message of a batch. It does not know the other messages.
 */

declare(strict_types=1);

namespace Fanwire;

/** The refusal of one message of a batch. */
final class Refusal
{
    /**
     * @param string $topic   the topic
     * @param string $code    the broker's error code, such as `forbidden`
     * @param string $message what is wrong and what to do
     */
    public function __construct(
        public readonly string $topic,
        public readonly string $code,
        public readonly string $message,
    ) {
    }
}
