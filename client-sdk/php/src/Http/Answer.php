<?php

/**
 * Owns one answer as the transports give it. It does not know what its body means.
 */

declare(strict_types=1);

namespace Fanwire\Http;

/** One answer of the broker, or of whatever else is at its URL. */
final class Answer
{
    /** @param array<string, string> $headers by their names in lower case */
    public function __construct(
        public readonly int $status,
        public readonly array $headers,
        public readonly string $body,
    ) {
    }
}
