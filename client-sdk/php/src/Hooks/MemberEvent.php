<?php

/**
 * Owns the news that a user has come to a topic with presence, or left it. It does not know which of both; the handler
 * does.
 */

declare(strict_types=1);

namespace Fanwire\Hooks;

/** Somebody has come to a topic, or left it: once over all their connections. */
final class MemberEvent extends Event
{
    /**
     * @param string      $topic      the topic
     * @param string|null $user       who, if known
     * @param string      $connection the connection they came with
     * @param mixed       $info       what others see of them
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
