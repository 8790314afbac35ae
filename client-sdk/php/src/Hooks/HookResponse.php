<?php

/**
 * Owns the HTTP response to the broker, before it becomes a response of a framework. It does not know any framework.
 */

declare(strict_types=1);

namespace Fanwire\Hooks;

/** The HTTP response to a callout or a webhook. */
final class HookResponse
{
    /**
     * @param int    $status      the HTTP status
     * @param string $body        the body
     * @param string $contentType the media type of the body
     */
    public function __construct(
        public readonly int $status,
        public readonly string $body,
        public readonly string $contentType = 'text/plain; charset=utf-8',
    ) {
    }

    /** @return array<string, string> the headers of the response */
    public function headers(): array
    {
        return ['Content-Type' => $this->contentType, 'Cache-Control' => 'no-store'];
    }
}
