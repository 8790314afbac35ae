<?php

/**
 * Owns the authorization callout `subscribe`. It does not know what is published to the topic.
 */

declare(strict_types=1);

namespace Fanwire\Hooks;

/** A client subscribes to a topic or pattern, or reads its history or presence. */
final class SubscribeCallout extends Callout
{
    /** @param string $topic the topic, which may be a pattern */
    public function __construct(string $id, ?string $user, ?string $connection, public readonly string $topic)
    {
        parent::__construct($id, $user, $connection);
    }
}
