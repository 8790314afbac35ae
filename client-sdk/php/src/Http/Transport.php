<?php

/**
 * Owns the seam between calls and whatever carries them over the network. It does not know of retries.
 */

declare(strict_types=1);

namespace Fanwire\Http;

use Fanwire\Exception\TooLarge;
use Fanwire\Exception\Unreachable;

/** Carries one request and its answer. */
interface Transport
{
    /**
     * Sends a request and gives the whole answer, whatever its status. Redirects are not followed.
     *
     * @param float $timeout after how many seconds to give up
     * @throws Unreachable when no answer came
     * @throws TooLarge    when the answer is larger than ANSWER_BYTES_MAX
     */
    public function send(Request $request, float $timeout): Answer;

    /** The largest answer that is taken into memory. */
    public const ANSWER_BYTES_MAX = 64 * 1024 * 1024;
}
