<?php

/**
 * Owns the broker's word that it did not take one message of a batch. It does not know the others.
 */

declare(strict_types=1);

namespace Fanwire;

/** One message of a batch was not taken. */
final class Refusal
{
    /**
     * @param string $topic   where it should have gone
     * @param string $code    the broker's error code, such as `forbidden`
     * @param string $message what was wrong and what to do
     */
    public function __construct(
        public readonly string $topic,
        public readonly string $code,
        public readonly string $message,
    ) {
    }
}
