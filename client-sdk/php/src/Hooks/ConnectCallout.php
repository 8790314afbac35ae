<?php

/**
 * Owns the authorization callout `connect`. It does not know what the session does afterwards.
 */

declare(strict_types=1);

namespace Fanwire\Hooks;

/** A client connects, or a session sends a new token. */
final class ConnectCallout extends Callout
{
    /** @param string $transport ws, bare, sse or poll */
    public function __construct(string $id, ?string $user, ?string $connection, public readonly string $transport)
    {
        parent::__construct($id, $user, $connection);
    }

    /**
     * Allows the connection, and names its user.
     *
     * @param string|null       $user      the user id of the session from now on; null keeps it
     * @param mixed             $info      what other members see in presence; null keeps it
     * @param list<string>|null $subscribe the topics it may subscribe to, in place of its token's grants
     * @param list<string>|null $publish   the topics it may publish to, in place of its token's grants
     */
    public function allow(
        ?string $user = null,
        mixed $info = null,
        ?array $subscribe = null,
        ?array $publish = null,
    ): Answer {
        $fields = ['allow' => true];
        if ($user !== null) {
            $fields['user'] = $user;
        }
        if ($info !== null) {
            $fields['info'] = $info;
        }
        if ($subscribe !== null || $publish !== null) {
            $fields['grants'] = [
                'publish' => array_values($publish ?? []),
                'subscribe' => array_values($subscribe ?? []),
            ];
        }
        return new Answer($fields);
    }
}
