<?php

/**
 * Owns how the JSON of the broker becomes callouts and webhook events. It does not know the handlers. A signed body
 * comes from the broker, but from a newer one perhaps: unknown kinds are left out, and wrong types are no PHP errors.
 */

declare(strict_types=1);

namespace Fanwire\Hooks;

use Fanwire\Payload;

/**
 * Reads the bodies of callouts and webhooks.
 *
 * @internal
 */
final class HookReader
{
    /** @param array<string, mixed> $fields the JSON object of a callout or of an event */
    private function __construct(private readonly array $fields)
    {
    }

    /**
     * Returns the callout, or null if its kind is unknown.
     *
     * @param array<string, mixed> $fields
     */
    public static function callout(array $fields): ?Callout
    {
        $reader = new self($fields);
        $session = [$reader->text('id'), $reader->textOrNull('user'), $reader->textOrNull('connection')];
        return match ($reader->text('hook')) {
            'connect' => new ConnectCallout(...[...$session, $reader->text('transport')]),
            'subscribe' => new SubscribeCallout(...[...$session, $reader->text('topic')]),
            'publish' => new PublishCallout(...[...$session, $reader->text('topic'), Payload::read($fields)]),
            'request' => new RequestCallout(...[...$session, $reader->text('method'), Payload::read($fields)]),
            default => null,
        };
    }

    /**
     * Returns the batch of webhook events.
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
