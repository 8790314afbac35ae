<?php

/**
 * Owns the RPC callout `request`. It does not know the answer.
 */

declare(strict_types=1);

namespace Fanwire\Hooks;

use Fanwire\Payload;

/** A client sends the application a request (`broker.request(method, data)` in JavaScript). */
final class RequestCallout extends Callout
{
    /**
     * @param string $method the method that the client named
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

    /** Sends the client this response. */
    public function reply(mixed $payload): Answer
    {
        return new Answer(['allow' => true] + Payload::fields($payload));
    }
}
