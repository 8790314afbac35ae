<?php

/**
 * Owns subscriptions over long polling, for transports without streams. It does not know when to reconnect.
 */

declare(strict_types=1);

namespace Fanwire\Listening;

use Fanwire\Exception\BadRequest;
use Fanwire\Http\Caller;

/**
 * Subscribes over long polling.
 *
 * @internal
 */
final class LongPoll implements Source
{
    /** The time for which the broker holds a poll, in seconds. */
    private const WAIT_SECONDS = 20;

    /** The minimum time between two polls with an empty response, in seconds. */
    private const PAUSE = 1.0;

    /**
     * Takes the caller and the topics.
     *
     * @throws BadRequest for patterns, which have no position at which the next poll could continue
     */
    public function __construct(private readonly Caller $caller, private readonly Topics $topics)
    {
        if ($topics->hasPattern()) {
            throw new BadRequest(
                'Long polling over a pattern would lose messages. Use the CurlTransport, or name the topics.',
                'bad_topic',
            );
        }
    }

    public function events(?string $since, ?string $cursor): \Generator
    {
        if ($cursor === null && $since === null) {
            // The current position of the topics: messages before it are not wanted.
            $cursor = (string) ($this->poll(['limit' => '1'])['cursor'] ?? '');
        }
        yield new Event(Event::OPEN, [], $cursor);
        while (true) {
            $askedAt = microtime(true);
            $page = $this->poll(
                ['since' => $cursor ?? (string) $since, 'wait' => (string) self::WAIT_SECONDS],
                self::WAIT_SECONDS,
            );
            $messages = (array) ($page['messages'] ?? []);
            if (($page['gap'] ?? false) === true) {
                yield new Event(Event::GAP, ['topic' => $this->topics->only()], $cursor);
            }
            $cursor = (string) ($page['cursor'] ?? $cursor);
            foreach ($messages as $place => $fields) {
                // One cursor covers all topics. It is the position after the last message.
                $isLast = $place === array_key_last($messages);
                yield new Event(Event::MESSAGE, (array) $fields, $isLast ? $cursor : null);
            }
            yield new Event(Event::QUIET);
            $left = self::PAUSE - (microtime(true) - $askedAt);
            if ($messages === [] && $left > 0) {
                usleep((int) ($left * 1e6));
            }
        }
    }

    /**
     * @param array<string, string> $parameters
     * @return array<string, mixed>
     */
    private function poll(array $parameters, float $extraSeconds = 0.0): array
    {
        $query = $this->topics->query($parameters);
        return $this->caller->call('GET', $this->topics->path(), $query, [], '', $extraSeconds);
    }
}
