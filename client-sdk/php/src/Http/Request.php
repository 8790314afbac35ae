<?php

/**
 * Owns one request as the transports take it. It knows nothing of topics; the credential stands apart from the headers,
 * so that no dump of a request shows it.
 */

declare(strict_types=1);

namespace Fanwire\Http;

use Fanwire\Secret;

/** One request to the broker. */
final class Request
{
    /**
     * @param string                $method     GET, POST or DELETE
     * @param string                $url        the whole URL
     * @param array<string, string> $headers    all but the credential
     * @param string                $body       the body; empty for none
     * @param Secret|null           $credential the key or token to show as `Authorization: Bearer`
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
