<?php

/**
 * Owns what is answered to a call, before it becomes a response of any framework. It does not know of frameworks.
 */

declare(strict_types=1);

namespace Fanwire\Hooks;

/** An HTTP response to a hook. */
final class HookResponse
{
    /**
     * @param int    $status      200, or why not
     * @param string $body        what to send
     * @param string $contentType its media type
     */
    public function __construct(
        public readonly int $status,
        public readonly string $body,
        public readonly string $contentType = 'text/plain; charset=utf-8',
    ) {
    }

    /** @return array<string, string> the headers to send */
    public function headers(): array
    {
        return ['Content-Type' => $this->contentType, 'Cache-Control' => 'no-store'];
    }
}
