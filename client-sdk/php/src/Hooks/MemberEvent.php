<?php

/**
 * Owns the webhook events `join` and `leave`. It does not know which of the two it is; the handler does.
 */

declare(strict_types=1);

namespace Fanwire\Hooks;

/** A member has joined a topic with presence, or left it. A user is one member over all connections. */
final class MemberEvent extends Event
{
    /**
     * @param string      $topic      the topic
     * @param string|null $user       the user id of the member, if known
     * @param string      $connection the id of the connection that joined first
     * @param mixed       $info       what other members see
     */
    public function __construct(
        string $id,
        int $timeMs,
        string $run,
        public readonly string $topic,
        public readonly ?string $user,
        public readonly string $connection,
        public readonly mixed $info,
    ) {
        parent::__construct($id, $timeMs, $run);
    }
}
