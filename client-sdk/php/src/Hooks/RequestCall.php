<?php

/**
 * Owns a question of a client to the application. It does not know the answer.
 */

declare(strict_types=1);

namespace Fanwire\Hooks;

use Fanwire\Payload;

/** A client asks the application something (`broker.request(method, data)` in JavaScript). */
final class RequestCall extends Call
{
    /**
     * @param string $method what is asked for
     * @param mixed  $data   a string (text), a Fanwire\Binary, or a JSON value with objects as arrays
     */
    public function __construct(
        string $id,
        ?string $user,
        ?string $connection,
        public readonly string $method,
        public readonly mixed $data,
    ) {
        parent::__construct($id, $user, $connection);
    }

    /** What the client gets. */
    public function reply(mixed $payload): Answer
    {
        return new Answer(['allow' => true] + Payload::fields($payload));
    }
}
