<?php

/**
 * Owns how the JSON of a call becomes what handlers get. It does not know which handlers there are. Whoever signs is
 * trusted to be the broker, but a newer one may send what this class does not know: that is left out, and never an
 * error of PHP.
 */

declare(strict_types=1);

namespace Fanwire\Hooks;

use Fanwire\Payload;

/**
 * Reads calls.
 *
 * @internal
 */
final class CallReader
{
    /** @param array<string, mixed> $fields the JSON object of a call or of an event */
    private function __construct(private readonly array $fields)
    {
    }

    /**
     * What is asked, or null if this class does not know it.
     *
     * @param array<string, mixed> $fields
     */
    public static function call(array $fields): ?Call
    {
        $reader = new self($fields);
        $who = [$reader->text('id'), $reader->textOrNull('user'), $reader->textOrNull('connection')];
        return match ($reader->text('hook')) {
            'connect' => new ConnectCall(...[...$who, $reader->text('transport')]),
            'subscribe' => new SubscribeCall(...[...$who, $reader->text('topic')]),
            'publish' => new PublishCall(...[...$who, $reader->text('topic'), Payload::read($fields)]),
            'request' => new RequestCall(...[...$who, $reader->text('method'), Payload::read($fields)]),
            default => null,
        };
    }

    /**
     * What is told.
     *
     * @param array<string, mixed> $fields
     */
    public static function batch(array $fields): Batch
    {
        $reader = new self($fields);
        $run = $reader->text('run');
        $events = [];
        foreach (is_array($fields['events'] ?? null) ? $fields['events'] : [] as $entry) {
            $event = is_array($entry) ? (new self($entry))->event($run) : null;
            if ($event !== null) {
                $events[] = [(string) $entry['hook'], $event];
            }
        }
        return new Batch($run, $reader->number('attempt'), $reader->number('lost'), $events);
    }

    private function event(string $run): ?Event
    {
        $what = [$this->text('id'), $this->number('ts'), $run];
        return match ($this->text('hook')) {
            'disconnect' => new DisconnectEvent(...[
                ...$what,
                $this->textOrNull('user'),
                $this->text('connection'),
                $this->text('transport'),
                $this->number('connected_ts'),
                $this->number('code'),
                $this->text('reason'),
                $this->fields['info'] ?? null,
            ]),
            'occupied', 'vacated' => new TopicEvent(...[...$what, $this->text('topic')]),
            'join', 'leave' => new MemberEvent(...[
                ...$what,
                $this->text('topic'),
                $this->textOrNull('user'),
                $this->text('connection'),
                $this->fields['info'] ?? null,
            ]),
            default => null,
        };
    }

    private function text(string $name): string
    {
        return $this->textOrNull($name) ?? '';
    }

    private function textOrNull(string $name): ?string
    {
        return is_string($this->fields[$name] ?? null) ? $this->fields[$name] : null;
    }

    private function number(string $name): int
    {
        return is_int($this->fields[$name] ?? null) ? $this->fields[$name] : 0;
    }
}
