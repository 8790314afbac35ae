<?php

/**
 * Owns an answer to the broker as JSON. Which answers a question can have, the calls know.
 */

declare(strict_types=1);

namespace Fanwire\Hooks;

/** An answer to a hook; made by the methods of the call. */
final class Answer
{
    /**
     * @internal
     * @param array<string, mixed> $fields what the broker reads
     */
    public function __construct(public readonly array $fields)
    {
    }
}
