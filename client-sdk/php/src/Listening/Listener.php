<?php

/**
 * Owns listening for as long as somebody wants to: coming back after what breaks, going on from the cursor, and telling
 * what was missed. It does not know how bytes travel.
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
 * Listens over any source, and over its reconnects.
 *
 * @internal
 */
final class Listener
{
    /** Waits before coming back are drawn from 0 to this many seconds, then twice that, … */
    private const WAIT_FIRST = 0.5;
    /** … up to this many. */
    private const WAIT_MOST = 20.0;
    /** The minimum of every wait, in seconds, also of one that the broker asks for. */
    private const WAIT_LEAST = 0.1;
    /** The maximum of a wait that the broker or a proxy asks for, in seconds. */
    private const ASKED_MOST = 300.0;

    /** How long one sleep lasts, so that whoever listens can stop. In seconds. */
    private const TICK = 0.5;

    private ?string $cursor = null;
    private bool $isGap = false;
    private bool $wasOpen = false;
    private ?float $asked = null;
    private readonly Backoff $backoff;
    private ForkGuard $guard;

    /**
     * @param string|null                   $since     where to begin, as `since` has it in URLs; null for now
     * @param \Closure(): bool              $until     true ends the listening
     * @param \Closure(?string): void       $onGap     something was missed; given on which topic, if known
     * @param \Closure(string, float): void $onTrouble what went wrong, and in how many seconds it is tried again
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
     * @throws FanwireException when the first connection fails, or coming back would be of no use
     */
    public function messages(): \Generator
    {
        while (true) {
            $this->asked = null;
            $trouble = 'The connection to the broker ended.';
            try {
                foreach ($this->source->events($this->since, $this->cursor) as $event) {
                    $message = $this->hear($event, $trouble);
                    if ($message !== null) {
                        yield $message;
                    }
                    if (($this->until)()) {
                        return;
                    }
                }
            } catch (Unreachable | Unavailable | RateLimited $error) {
                // Whoever cannot be reached even once is more likely misspelt than away: the caller hears of it.
                if (!$this->wasOpen) {
                    throw $error;
                }
                $trouble = $error->getMessage();
                $this->asked = $error->retryAfter;
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

    /** Takes one event in; a message is for whoever listens. */
    private function hear(Event $event, string &$trouble): ?Message
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
     * @return string what to say of it
     * @throws FanwireException when the broker says not to come back
     */
    private function closing(array $fields): string
    {
        $reason = is_string($fields['reason'] ?? null) ? $fields['reason'] : 'it gave no reason';
        if (($fields['reconnect'] ?? true) === false) {
            $code = is_string($fields['error'] ?? null) ? $fields['error'] : 'ended';
            $class = match ($code) {
                'unauthorized', 'token_expired' => Unauthorized::class,
                'forbidden' => Forbidden::class,
                default => Ended::class,
            };
            throw new $class("The broker ended the stream: $reason", $code);
        }
        $this->asked = isset($fields['after_ms']) ? (float) $fields['after_ms'] / 1000 : null;
        return "The broker closes the connection: $reason.";
    }

    /** Waits before the next try; true if the listening is to end. */
    private function sleep(string $trouble): bool
    {
        $wait = $this->backoff->next();
        $seconds = max(self::WAIT_LEAST, min($this->asked ?? $wait, self::ASKED_MOST));
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
