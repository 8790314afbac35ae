<?php

/**
 * Owns what every error of this package says: a code for programs, a sentence for people, and what to do. Its
 * subclasses are one for each thing a caller can do about it; which of them an answer becomes, Http\Problem decides.
 */

declare(strict_types=1);

namespace Fanwire\Exception;

/** An error of fanwire. No key, token or payload ever stands in its message. */
abstract class FanwireException extends \RuntimeException
{
    /**
     * @param string     $message    what happened and what to do
     * @param string     $errorCode  the broker's error code (docs/protocol.md), or one of this package's own
     * @param int|null   $status     the HTTP status, where there was an answer
     * @param float|null $retryAfter after how many seconds to come back, where the broker named a time
     */
    final public function __construct(
        string $message,
        public readonly string $errorCode,
        public readonly ?int $status = null,
        public readonly ?float $retryAfter = null,
    ) {
        parent::__construct($message, $status ?? 0);
    }

    /** What the caller can do about errors of this kind. */
    abstract public function advice(): string;
}
