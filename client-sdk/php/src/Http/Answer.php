<?php

/**
 * Owns one HTTP response as the transports return it. It does not know what its body means.
 */

declare(strict_types=1);

namespace Fanwire\Http;

/** An HTTP response of the broker, or of another server at its URL. */
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
