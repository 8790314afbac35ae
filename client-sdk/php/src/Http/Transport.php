<?php

/**
 * Owns the seam between calls and the HTTP client. It does not know retries.
 */

declare(strict_types=1);

namespace Fanwire\Http;

use Fanwire\Exception\TooLarge;
use Fanwire\Exception\Unreachable;

/** Sends a request and returns the response. */
interface Transport
{
    /**
     * Sends a request and returns the whole response, whatever its status. It does not follow redirects.
     *
     * @param float $timeout the maximum duration in seconds
     * @throws Unreachable when there is no response
     * @throws TooLarge    when the response is larger than ANSWER_BYTES_MAX
     */
    public function send(Request $request, float $timeout): Answer;

    /** The maximum size of a response, in bytes. */
    public const ANSWER_BYTES_MAX = 64 * 1024 * 1024;
}
