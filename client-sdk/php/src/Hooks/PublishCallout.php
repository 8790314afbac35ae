<?php

/**
 * Owns the authorization callout `publish`. It does not know the subscribers of the topic.
 */

declare(strict_types=1);

namespace Fanwire\Hooks;

use Fanwire\Payload;

/** A client publishes to a topic. */
final class PublishCallout extends Callout
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

    /** Allows the publish with another payload. */
    public function replace(mixed $payload): Answer
    {
        return new Answer(['allow' => true] + Payload::fields($payload));
    }
}
