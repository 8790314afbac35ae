<?php

/**
 * Owns the requests of an application to a broker: publish, read history and presence, listen. It does not know how
 * requests travel and are repeated (Http\Caller), nor callouts and webhooks (HookServer).
 */

declare(strict_types=1);

namespace Fanwire;

use Fanwire\Exception\BadConfiguration;
use Fanwire\Exception\BadRequest;
use Fanwire\Exception\FanwireException;
use Fanwire\Exception\UnexpectedAnswer;
use Fanwire\Http\Address;
use Fanwire\Http\Caller;
use Fanwire\Http\CurlTransport;
use Fanwire\Http\Transport;
use Fanwire\Listening\EventStream;
use Fanwire\Listening\Listener;
use Fanwire\Listening\LongPoll;
use Fanwire\Listening\Topics;

/**
 * A client of a fanwire broker. The constructor does not connect. One object serves any number of calls and keeps its
 * connection between them; after pcntl_fork each process connects anew.
 *
 * Every method throws a FanwireException: the classes of Fanwire\Exception say what happened and what to do.
 */
final class Broker
{
    private readonly Caller $caller;

    /**
     * @param string         $url       the URL of the broker: `http://localhost:7400`, `https://example.com/live`
     * @param string|null    $key       an API key (`fanwire token key`) or token; null for an open broker
     * @param float          $timeout   the maximum duration of one call in seconds, all attempts together
     * @param int            $attempts  the maximum number of attempts when the broker is unreachable or unavailable
     * @param Transport|null $transport the HTTP client: ext-curl, or a PSR-18 client by Http\Psr18Transport
     * @throws BadConfiguration when an argument is invalid
     */
    public function __construct(
        string $url,
        #[\SensitiveParameter] ?string $key = null,
        float $timeout = 5.0,
        int $attempts = 3,
        ?Transport $transport = null,
    ) {
        $this->caller = new Caller($url, $key, $timeout, $attempts, $transport ?? new CurlTransport());
    }

    /**
     * Publishes to a topic. Returns when the broker has accepted the publication; for a durable topic, when it is on
     * disk.
     *
     * @param string      $topic   a topic, such as chat.lobby
     * @param mixed       $payload a string is text, a Binary is binary, everything else is JSON
     * @param string|null $key     an idempotency key of your own, such as the id of an order: a second publish with
     *                             the same key within 5 minutes is a duplicate. Without a key this call makes one, so
     *                             that its retries never publish twice
     * @throws FanwireException
     */
    public function publish(string $topic, mixed $payload, ?string $key = null): Receipt
    {
        [$type, $body] = Payload::body($payload);
        $headers = ['Content-Type' => $type, 'Idempotency-Key' => self::key($key)];
        return Receipt::read($this->caller->call('POST', Address::topic($topic), '', $headers, $body));
    }

    /**
     * Publishes many messages in one call. Each message is accepted or refused by itself: read the result.
     *
     * @param iterable<Publication> $publications
     * @throws FanwireException when the call as a whole failed
     */
    public function publishMany(iterable $publications): BatchResult
    {
        $messages = [];
        foreach ($publications as $publication) {
            if (!$publication instanceof Publication) {
                throw new BadRequest(
                    'publishMany() takes Fanwire\Publication objects, not ' . get_debug_type($publication) . '.',
                    'bad_payload',
                );
            }
            $messages[] = ['topic' => $publication->topic, 'key' => self::key($publication->key)]
                + Payload::fields($publication->payload);
        }
        if ($messages === []) {
            return new BatchResult([]);
        }
        $body = Payload::encode(['messages' => $messages]);
        $answer = $this->caller->call('POST', '/publish', '', ['Content-Type' => 'application/json'], $body);
        $results = $answer['results'] ?? null;
        if (!is_array($results) || count($results) !== count($messages)) {
            throw new UnexpectedAnswer('The response of the broker to a batch does not have one result for each message.', 'unexpected_answer');
        }
        $read = static function (array $result, array $message): Receipt|Refusal {
            $error = $result['error'] ?? null;
            return is_array($error)
                ? new Refusal($message['topic'], (string) ($error['code'] ?? ''), (string) ($error['message'] ?? ''))
                : Receipt::read($result);
        };
        return new BatchResult(array_map($read, array_values($results), $messages));
    }

    /**
     * Returns one page of a topic's history.
     *
     * @param string                         $topic   a topic, not a pattern
     * @param string|\DateTimeInterface|null $since   begin after this cursor, at this time, at an age ('10m') or at
     *                                                'earliest'; null for the newest messages
     * @param int|null                       $limit   the maximum number of messages; 100 by default
     * @param bool                           $reverse newest first: from the newest, or back from `$since`
     * @throws FanwireException
     */
    public function history(
        string $topic,
        string|\DateTimeInterface|null $since = null,
        ?int $limit = null,
        bool $reverse = false,
    ): Page {
        $parameters = array_filter([
            'since' => self::startPoint($since),
            'limit' => $limit === null ? null : (string) $limit,
            'reverse' => $reverse ? 'true' : null,
        ], static fn (?string $value): bool => $value !== null);
        $query = http_build_query($parameters, '', '&', PHP_QUERY_RFC3986);
        return Page::read($this->caller->call('GET', Address::topic($topic), $query));
    }

    /**
     * Returns a topic's history page by page: from `$since` on, or with `$reverse` back from the newest.
     *
     * @param string                         $topic   a topic, not a pattern
     * @param string|\DateTimeInterface|null $since   as in `history`; null for everything
     * @param int                            $limit   the maximum number of messages on a page
     * @param bool                           $reverse newest first
     * @return \Generator<int, Page>
     * @throws FanwireException
     */
    public function pages(
        string $topic,
        string|\DateTimeInterface|null $since = null,
        int $limit = 100,
        bool $reverse = false,
    ): \Generator {
        $since ??= $reverse ? null : 'earliest';
        do {
            $page = $this->history($topic, $since, $limit, $reverse);
            yield $page;
            $since = $page->cursor;
        } while ($page->more && count($page) > 0);
    }

    /**
     * Returns the members of a topic whose rule has `presence = true`.
     *
     * @throws FanwireException Unavailable for a topic without presence
     */
    public function presence(string $topic): Presence
    {
        $fields = $this->caller->call('GET', Address::topic($topic) . '/presence');
        if (!is_array($fields['members'] ?? null)) {
            throw new UnexpectedAnswer('The response of the broker has no members: its version is too old for presence.', 'unexpected_answer');
        }
        return Presence::read($fields);
    }

    /**
     * Subscribes to topics and returns their messages as they come, without end: for a worker or a command. After a
     * break it reconnects and continues after the last message. When messages are missing, `$onGap` is called and the
     * next message has `gap`. The first connection must succeed.
     *
     * @param string|list<string>            $topics    topics or patterns
     * @param string|\DateTimeInterface|null $since     begin after this cursor, at this time, at an age or at
     *                                                  'earliest'; null for now. Patterns begin now
     * @param (callable(): bool)|null        $until     called at least once a second (when polling: after each poll,
     *                                                  at most 20 s); true ends the method
     * @param (callable(?string): void)|null $onGap     called with the topic, if known, when messages are missing
     * @param (callable(string, float): void)|null $onTrouble called with the error and the seconds until the next
     *                                                  attempt, when the connection breaks; error_log by default
     * @param bool                           $polling   use long polling, where a proxy holds event streams back
     * @return \Generator<int, Message>
     * @throws FanwireException
     */
    public function listen(
        string|array $topics,
        string|\DateTimeInterface|null $since = null,
        ?callable $until = null,
        ?callable $onGap = null,
        ?callable $onTrouble = null,
        bool $polling = false,
    ): \Generator {
        $names = new Topics($topics);
        $transport = $this->caller->transport;
        $source = $transport instanceof CurlTransport && !$polling
            ? new EventStream($this->caller, $transport, $names)
            : new LongPoll($this->caller, $names);
        $log = static function (string $trouble, float $seconds): void {
            error_log(sprintf('fanwire: %s Trying again in %.1f s.', $trouble, $seconds));
        };
        $listener = new Listener(
            $source,
            self::startPoint($since),
            ($until ?? static fn (): bool => false)(...),
            ($onGap ?? static fn (?string $topic) => null)(...),
            ($onTrouble ?? $log)(...),
        );
        return $listener->messages();
    }

    /**
     * Clears the history of a topic. Requires a key with `admin = true`. The offsets continue; a subscriber that has
     * missed messages receives a gap.
     *
     * @return string the cursor up to which the history was cleared
     * @throws FanwireException
     */
    public function clearHistory(string $topic): string
    {
        Address::topic($topic);
        $fields = $this->caller->call('DELETE', '/api/v1/topics/' . rawurlencode($topic) . '/history');
        return Receipt::read($fields)->cursor();
    }

    /** Returns the part of the server API that lists sessions and acts on them. Requires a key with `admin = true`. */
    public function sessions(): Sessions
    {
        return new Sessions($this->caller);
    }

    /** @throws BadRequest when a header cannot hold the key */
    private static function key(?string $key): string
    {
        if ($key !== null && preg_match('/^[\x21-\x7e]{1,255}$/D', $key) !== 1) {
            throw new BadRequest('An idempotency key has 1 to 255 visible ASCII characters.', 'bad_key');
        }
        return $key ?? bin2hex(random_bytes(16));
    }

    /** Returns a start point as it is written in URLs. */
    private static function startPoint(string|\DateTimeInterface|null $since): ?string
    {
        if ($since instanceof \DateTimeInterface) {
            $utc = \DateTimeImmutable::createFromInterface($since)->setTimezone(new \DateTimeZone('UTC'));
            return $utc->format('Y-m-d\TH:i:s.v\Z');
        }
        return $since;
    }
}
