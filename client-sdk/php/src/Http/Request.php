<?php

/**
 * Owns one HTTP request as the transports send it. It does not know topics. The credential is not among the headers, so
 * that no dump of a request shows it.
 */

declare(strict_types=1);

namespace Fanwire\Http;

use Fanwire\Secret;

/** One request to the broker. */
final class Request
{
    /**
     * @param string                $method     GET, POST or DELETE
     * @param string                $url        the complete URL
     * @param array<string, string> $headers    the headers, except the credential
     * @param string                $body       the body; may be empty
     * @param Secret|null           $credential the key or token, sent as `Authorization: Bearer`
     */
    public function __construct(
        public readonly string $method,
        public readonly string $url,
        public readonly array $headers = [],
        public readonly string $body = '',
        public readonly ?Secret $credential = null,
    ) {
    }
}
