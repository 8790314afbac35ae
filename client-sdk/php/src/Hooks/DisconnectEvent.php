<?php

/**
 * Owns the webhook event `disconnect`. It does not know what the connection was subscribed to.
 */

declare(strict_types=1);

namespace Fanwire\Hooks;

/** A connection has ended. */
final class DisconnectEvent extends Event
{
    /**
     * @param string|null $user        the user id of the session, if known
     * @param string      $connection  the id of the connection
     * @param string      $transport   ws, bare, sse or poll
     * @param int         $connectedMs when it began, in milliseconds since 1970
     * @param int         $code        the close code (docs/protocol.md); 1006 for a connection that broke
     * @param string      $reason      the reason, as a sentence for people
     * @param mixed       $info        what other members saw in presence
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
