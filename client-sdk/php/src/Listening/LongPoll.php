<?php

/**
 * Owns listening by long polling, for transports that cannot stream. It does not know when to come back after a
 * failure.
 */

declare(strict_types=1);

namespace Fanwire\Listening;

use Fanwire\Exception\BadRequest;
use Fanwire\Http\Caller;

/**
 * Hears by long polling.
 *
 * @internal
 */
final class LongPoll implements Source
{
    /** How long the broker holds a poll. In seconds. */
    private const WAIT_SECONDS = 20;

    /** An empty answer that came sooner than this is not asked for again at once, whoever gave it. In seconds. */
    private const PAUSE = 1.0;

    /**
     * Takes what calls share, and the topics.
     *
     * @throws BadRequest for patterns, which have no position to go on from between two polls
     */
    public function __construct(private readonly Caller $caller, private readonly Topics $topics)
    {
        if ($topics->hasPattern()) {
            throw new BadRequest(
                'Patterns cannot be polled without loss. Listen with the CurlTransport, or name the topics.',
                'bad_topic',
            );
        }
    }

    public function events(?string $since, ?string $cursor): \Generator
    {
        if ($cursor === null && $since === null) {
            // Where the topics are now; what they hold already was not asked for.
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
                // One cursor stands for all topics, and it is that of the last message.
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
