<?php

/**
 * Owns a subscription over its reconnects: the waits, the cursor at which it continues, and reporting gaps. It does not
 * know the transport.
 */

declare(strict_types=1);

namespace Fanwire\Listening;

use Fanwire\Backoff;
use Fanwire\Exception\Ended;
use Fanwire\Exception\FanwireException;
use Fanwire\Exception\Forbidden;
use Fanwire\Exception\RateLimited;
use Fanwire\Exception\Unauthorized;
use Fanwire\Exception\Unavailable;
use Fanwire\Exception\Unreachable;
use Fanwire\Http\ForkGuard;
use Fanwire\Message;

/**
 * A subscription over any source, and over its reconnects.
 *
 * @internal
 */
final class Listener
{
    /** The maximum of the first wait before a reconnect, in seconds; it doubles … */
    private const WAIT_FIRST = 0.5;
    /** … up to this maximum. */
    private const WAIT_MOST = 20.0;
    /** The minimum of every wait, in seconds, also of one that the broker requests. */
    private const WAIT_LEAST = 0.1;
    /** The maximum of a wait that the broker or a proxy requests, in seconds. */
    private const REQUESTED_MOST = 300.0;

    /** The maximum of one sleep, in seconds, so that `until` is called in time. */
    private const TICK = 0.5;

    private ?string $cursor = null;
    private bool $isGap = false;
    private bool $wasOpen = false;
    private ?float $requested = null;
    private readonly Backoff $backoff;
    private ForkGuard $guard;

    /**
     * @param string|null                   $since     the start point, as `since` in URLs; null for now
     * @param \Closure(): bool              $until     true ends the subscription
     * @param \Closure(?string): void       $onGap     called with the topic, if known, when messages are missing
     * @param \Closure(string, float): void $onTrouble called with the error and the seconds until the next attempt
     */
    public function __construct(
        private readonly Source $source,
        private readonly ?string $since,
        private readonly \Closure $until,
        private readonly \Closure $onGap,
        private readonly \Closure $onTrouble,
    ) {
        $this->backoff = new Backoff(self::WAIT_FIRST, self::WAIT_MOST);
        $this->guard = new ForkGuard();
    }

    /**
     * @return \Generator<int, Message>
     * @throws FanwireException when the first connection fails, or a reconnect has no chance
     */
    public function messages(): \Generator
    {
        while (true) {
            $this->requested = null;
            $trouble = 'The connection to the broker ended.';
            try {
                foreach ($this->source->events($this->since, $this->cursor) as $event) {
                    $message = $this->receive($event, $trouble);
                    if ($message !== null) {
                        yield $message;
                    }
                    if (($this->until)()) {
                        return;
                    }
                }
            } catch (Unreachable | Unavailable | RateLimited $error) {
                // A broker that was never reached more likely has a wrong URL than a short outage.
                if (!$this->wasOpen) {
                    throw $error;
                }
                $trouble = $error->getMessage();
                $this->requested = $error->retryAfter;
            }
            if ($this->guard->isForked()) {
                // The connection belongs to the parent; this process continues at the cursor with one of its own.
                $this->guard = new ForkGuard();
                continue;
            }
            if ($this->sleep($trouble)) {
                return;
            }
        }
    }

    /** Handles one event. Returns the message, if it is one. */
    private function receive(Event $event, string &$trouble): ?Message
    {
        $this->cursor = $event->cursor ?? $this->cursor;
        switch ($event->kind) {
            case Event::OPEN:
                $this->wasOpen = true;
                return null;
            case Event::GAP:
                $this->isGap = true;
                ($this->onGap)(is_string($event->fields['topic'] ?? null) ? $event->fields['topic'] : null);
                return null;
            case Event::CLOSING:
                $trouble = $this->closing($event->fields);
                return null;
            case Event::MESSAGE:
                $message = Message::read($event->fields, $event->cursor, $this->isGap);
                $this->isGap = false;
                // Not at OPEN: a connection that always ends right after its beginning is waited for longer each time.
                $this->backoff->reset();
                return $message;
            default:
                return null;
        }
    }

    /**
     * @param array<string, mixed> $fields
     * @return string the sentence for `onTrouble`
     * @throws FanwireException when the broker forbids reconnecting
     */
    private function closing(array $fields): string
    {
        $reason = is_string($fields['reason'] ?? null) ? $fields['reason'] : 'no reason given';
        if (($fields['reconnect'] ?? true) === false) {
            $code = is_string($fields['error'] ?? null) ? $fields['error'] : 'ended';
            $class = match ($code) {
                'unauthorized', 'token_expired' => Unauthorized::class,
                'forbidden' => Forbidden::class,
                default => Ended::class,
            };
            throw new $class("The broker ended the stream: $reason", $code);
        }
        $this->requested = isset($fields['after_ms']) ? (float) $fields['after_ms'] / 1000 : null;
        return "The broker closes the connection: $reason.";
    }

    /** Waits before the next attempt. Returns whether `until` has ended the subscription. */
    private function sleep(string $trouble): bool
    {
        $wait = $this->backoff->next();
        $seconds = max(self::WAIT_LEAST, min($this->requested ?? $wait, self::REQUESTED_MOST));
        ($this->onTrouble)($trouble, $seconds);
        $end = microtime(true) + $seconds;
        while (true) {
            if (($this->until)()) {
                return true;
            }
            $left = $end - microtime(true);
            if ($left <= 0) {
                return false;
            }
            usleep((int) (min(self::TICK, $left) * 1e6));
        }
    }
}
