<?php

/**
 * Owns the question whether somebody may publish something. It does not know who will hear it.
 */

declare(strict_types=1);

namespace Fanwire\Hooks;

use Fanwire\Payload;

/** Somebody wants to publish to a topic. */
final class PublishCall extends Call
{
    /**
     * @param string $topic the topic
     * @param mixed  $data  a string (text), a Fanwire\Binary, or a JSON value with objects as arrays
     */
    public function __construct(
        string $id,
        ?string $user,
        ?string $connection,
        public readonly string $topic,
        public readonly mixed $data,
    ) {
        parent::__construct($id, $user, $connection);
    }

    /** It goes on with this payload in place of theirs. */
    public function replace(mixed $payload): Answer
    {
        return new Answer(['allow' => true] + Payload::fields($payload));
    }
}
