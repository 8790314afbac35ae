<?php

/**
 * Owns the news that a connection is over. It does not know what it was subscribed to.
 */

declare(strict_types=1);

namespace Fanwire\Hooks;

/** A connection is over. */
final class DisconnectEvent extends Event
{
    /**
     * @param string|null $user        whose it was, if known
     * @param string      $connection  which one
     * @param string      $transport   ws, bare, sse or poll
     * @param int         $connectedMs when it began, in milliseconds since 1970
     * @param int         $code        the close code (docs/protocol.md); 1006 for one that ended without a word
     * @param string      $reason      why, for people
     * @param mixed       $info        what others saw of the user
     */
    public function __construct(
        string $id,
        int $timeMs,
        string $run,
        public readonly ?string $user,
        public readonly string $connection,
        public readonly string $transport,
        public readonly int $connectedMs,
        public readonly int $code,
        public readonly string $reason,
        public readonly mixed $info,
    ) {
        parent::__construct($id, $timeMs, $run);
    }
}
