<?php

/**
 * Owns the rule that a connection belongs to the process that opened it. It does not know what the connection carries.
 */

declare(strict_types=1);

namespace Fanwire\Http;

/**
 * Detects that pcntl_fork has copied a connection into another process. Two processes that write to one connection read
 * each other's answers.
 *
 * @internal
 */
final class ForkGuard
{
    /**
     * The handles that this process has inherited. They stay referenced until the process ends: to close one sends the
     * TLS alert close_notify (RFC 8446 §6.1), which ends the connection of the parent.
     *
     * @var list<object>
     */
    private static array $inherited = [];

    private int $owner;

    /** Makes the current process the owner. */
    public function __construct()
    {
        $this->owner = (int) getmypid();
    }

    /** Returns whether the current process is not the owner. */
    public function isForked(): bool
    {
        return $this->owner !== getmypid();
    }

    /** Keeps handles of the parent open in this process. */
    public static function keep(object ...$handles): void
    {
        array_push(self::$inherited, ...array_values($handles));
    }
}
