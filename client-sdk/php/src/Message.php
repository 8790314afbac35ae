<?php

/**
 * Owns one publication as a reader sees it. It does not know whether it came live or from history.
 */

declare(strict_types=1);

namespace Fanwire;

/** A publication that was read or heard. */
final class Message
{
    /**
     * @param string      $topic  where it was published
     * @param mixed       $data   a string (text), a Binary, or a JSON value with objects as arrays
     * @param string|null $cursor the place right after it, as `since` takes it; null where the topic keeps no history
     * @param string|null $epoch  the numbering that the offset belongs to
     * @param int|null    $offset its place in the topic
     * @param int|null    $timeMs when the broker accepted it, in milliseconds since 1970
     * @param string|null $from   the user id of the publisher, if known
     * @param bool        $gap    something between the message before and this one is lost
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

    /** When the broker accepted it, in UTC; null where the topic keeps no history. */
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
     * @param string|null          $cursor the place after it, where that is not simply its own position
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
