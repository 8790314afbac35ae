<?php

/**
 * Owns the question whether somebody may listen to a topic. It does not know what is published there.
 */

declare(strict_types=1);

namespace Fanwire\Hooks;

/** Somebody wants to subscribe to a topic or pattern, or to read its history or presence. */
final class SubscribeCall extends Call
{
    /** @param string $topic the topic, which may be a pattern */
    public function __construct(string $id, ?string $user, ?string $connection, public readonly string $topic)
    {
        parent::__construct($id, $user, $connection);
    }
}
