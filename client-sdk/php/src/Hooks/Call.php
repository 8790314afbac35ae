<?php

/**
 * Owns what all calls of hooks share. What each asks for, its subclasses know.
 */

declare(strict_types=1);

namespace Fanwire\Hooks;

/** A question of the broker. */
abstract class Call
{
    /**
     * @param string      $id         the name of the call
     * @param string|null $user       who it is about, if known
     * @param string|null $connection whose connection; null for what is published over plain HTTP
     */
    public function __construct(
        public readonly string $id,
        public readonly ?string $user,
        public readonly ?string $connection,
    ) {
    }

    /** It goes on. */
    public function allow(): Answer
    {
        return new Answer(['allow' => true]);
    }

    /** It does not; the client is told this sentence. */
    public function refuse(string $message = ''): Answer
    {
        return new Answer(['allow' => false] + ($message === '' ? [] : ['message' => $message]));
    }
}
