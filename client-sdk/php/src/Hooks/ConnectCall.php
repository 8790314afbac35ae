<?php

/**
 * Owns the question whether somebody may connect. It does not know what they will do then.
 */

declare(strict_types=1);

namespace Fanwire\Hooks;

/** Somebody wants to connect, or shows another token. */
final class ConnectCall extends Call
{
    /** @param string $transport ws, bare, sse or poll */
    public function __construct(string $id, ?string $user, ?string $connection, public readonly string $transport)
    {
        parent::__construct($id, $user, $connection);
    }

    /**
     * They may, and this is who they are.
     *
     * @param string|null       $user      the user's id from now on; null leaves it
     * @param mixed             $info      what others see in presence; null leaves it
     * @param list<string>|null $subscribe what they may listen to, in place of their token's grants
     * @param list<string>|null $publish   what they may publish to, in place of their token's grants
     */
    public function admit(
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
