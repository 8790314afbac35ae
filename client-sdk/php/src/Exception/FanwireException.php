<?php

/**
 * Owns what every error of this package has: a code for programs, a sentence for people, and advice. There is one
 * subclass for each reaction of a caller; Http\Problem chooses it for a response.
 */

declare(strict_types=1);

namespace Fanwire\Exception;

/** An error of fanwire. Its message never contains a key, token or payload. */
abstract class FanwireException extends \RuntimeException
{
    /**
     * @param string     $message    what happened and what to do
     * @param string     $errorCode  the broker's error code (docs/protocol.md), or a code of this package
     * @param int|null   $status     the HTTP status, where there was a response
     * @param float|null $retryAfter the seconds to wait before the next call, where the broker named a time
     */
    final public function __construct(
        string $message,
        public readonly string $errorCode,
        public readonly ?int $status = null,
        public readonly ?float $retryAfter = null,
    ) {
        parent::__construct($message, $status ?? 0);
    }

    /** Returns what the caller can do about errors of this kind. */
    abstract public function advice(): string;
}
