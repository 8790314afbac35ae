<?php

/**
 * Owns what all callouts share. The subclasses know what each of them is about.
 */

declare(strict_types=1);

namespace Fanwire\Hooks;

/** A callout: a request of the broker that the application answers. */
abstract class Callout
{
    /**
     * @param string      $id         the id of the callout
     * @param string|null $user       the user id of the session, if known
     * @param string|null $connection the id of the connection; null for a publish over plain HTTP
     */
    public function __construct(
        public readonly string $id,
        public readonly ?string $user,
        public readonly ?string $connection,
    ) {
    }

    /** Allows it. */
    public function allow(): Answer
    {
        return new Answer(['allow' => true]);
    }

    /** Refuses it. The client receives the message. */
    public function refuse(string $message = ''): Answer
    {
        return new Answer(['allow' => false] + ($message === '' ? [] : ['message' => $message]));
    }
}
