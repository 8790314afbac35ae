<?php

/**
 * Owns one publication as a reader receives it. It does not know whether it is live or from history.
 */

declare(strict_types=1);

namespace Fanwire;

/** A publication, from history or live. */
final class Message
{
    /**
     * @param string      $topic  the topic
     * @param mixed       $data   a string (text), a Binary, or a JSON value with objects as arrays
     * @param string|null $cursor the position after it, for `since`; null for a topic without history
     * @param string|null $epoch  the epoch of its position
     * @param int|null    $offset the offset of its position
     * @param int|null    $timeMs the time when the broker accepted it, in milliseconds since 1970
     * @param string|null $from   the user id of the publisher, if known
     * @param bool        $gap    messages between the message before and this one are missing
     */
    public function __construct(
        public readonly string $topic,
        public readonly mixed $data,
        public readonly ?string $cursor = null,
        public readonly ?string $epoch = null,
        public readonly ?int $offset = null,
        public readonly ?int $timeMs = null,
        public readonly ?string $from = null,
        public readonly bool $gap = false,
    ) {
    }

    /** Returns the time when the broker accepted it, in UTC; null for a topic without history. */
    public function time(): ?\DateTimeImmutable
    {
        if ($this->timeMs === null) {
            return null;
        }
        $seconds = intdiv($this->timeMs, 1000);
        $moment = (new \DateTimeImmutable("@$seconds"))->modify('+' . $this->timeMs % 1000 . ' milliseconds');
        return $moment === false ? null : $moment;
    }

    /**
     * @internal
     * @param array<string, mixed> $fields the broker's JSON
     * @param string|null          $cursor the cursor after it, where that is not its own position
     */
    public static function read(array $fields, ?string $cursor = null, bool $gap = false): self
    {
        $hasPosition = isset($fields['epoch'], $fields['offset']);
        $epoch = $hasPosition ? (string) $fields['epoch'] : null;
        $offset = $hasPosition ? Payload::int($fields, 'offset') : null;
        return new self(
            (string) ($fields['topic'] ?? ''),
            Payload::read($fields),
            $hasPosition ? $cursor ?? "$epoch:$offset" : null,
            $epoch,
            $offset,
            Payload::int($fields, 'ts'),
            isset($fields['from']) ? (string) $fields['from'] : null,
            $gap,
        );
    }
}
