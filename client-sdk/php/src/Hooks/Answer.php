<?php

/**
 * Owns the answer to a callout, as the JSON that the broker reads. Which answers a callout allows, the callouts know.
 */

declare(strict_types=1);

namespace Fanwire\Hooks;

/** The answer to a callout; the methods of the callout make it. */
final class Answer
{
    /**
     * @internal
     * @param array<string, mixed> $fields the fields of the answer
     */
    public function __construct(public readonly array $fields)
    {
    }
}
