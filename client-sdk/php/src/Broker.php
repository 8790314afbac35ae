<?php

/**
 * Owns what an application asks of a broker: publish, read back, listen. How calls travel and are repeated Http\Caller
 * knows; what hooks are asked HookServer does.
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
 * A fanwire broker, from your application's side. Making one connects to nothing; one object may be used for any number
 * of calls and keeps its connection between them.
 *
 * Every method throws a FanwireException: see Fanwire\Exception for which, each with what to do about it.
 */
final class Broker
{
    private readonly Caller $caller;

    /**
     * @param string         $url       where the broker is: `http://localhost:7400`, `https://example.com/live`
     * @param string|null    $key       an API key (`fanwire token key`) or token; null for an open broker
     * @param float          $timeout   how many seconds one call may take, all attempts together
     * @param int            $attempts  how often a call is tried when no answer comes or the broker is unavailable
     * @param Transport|null $transport what carries the calls: ext-curl, or a PSR-18 client by Http\Psr18Transport
     * @throws BadConfiguration when something of it cannot be right
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
     * Publishes to a topic. It returns when the broker has taken it, a durable topic: when it is on disk.
     *
     * @param string      $topic   a topic, such as chat.lobby
     * @param mixed       $payload a string is text, a Binary is binary, everything else is JSON
     * @param string|null $key     an idempotency key of your own, such as the id of an order: a second publish with
     *                             it within 5 minutes is a duplicate. Without one this call makes its own, so that
     *                             its retries never double
     * @throws FanwireException
     */
    public function publish(string $topic, mixed $payload, ?string $key = null): Receipt
    {
        [$type, $body] = Payload::body($payload);
        $headers = ['Content-Type' => $type, 'Idempotency-Key' => self::key($key)];
        return Receipt::read($this->caller->call('POST', Address::topic($topic), '', $headers, $body));
    }

    /**
     * Publishes many messages in one call. One that is refused harms no other: look at the result.
     *
     * @param iterable<Publication> $publications
     * @throws FanwireException when the call as a whole failed
     */
    public function publishMany(iterable $publications): BatchResult
    {
        $messages = [];
        foreach ($publications as $publication) {
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
            throw new UnexpectedAnswer('The broker answered a batch with other than its results.', 'unexpected_answer');
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
     * One page of what a topic still holds.
     *
     * @param string                         $topic   a plain topic
     * @param string|\DateTimeInterface|null $since   begin after this cursor, at this moment, at an age ('10m') or at
     *                                                'earliest'; null for the newest messages
     * @param int|null                       $limit   at most so many; 100 if not said
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
            'since' => self::place($since),
            'limit' => $limit === null ? null : (string) $limit,
            'reverse' => $reverse ? 'true' : null,
        ], static fn (?string $value): bool => $value !== null);
        $query = http_build_query($parameters, '', '&', PHP_QUERY_RFC3986);
        return Page::read($this->caller->call('GET', Address::topic($topic), $query));
    }

    /**
     * All that a topic holds, page by page: from `$since` on, or with `$reverse` back from the newest.
     *
     * @param string                         $topic   a plain topic
     * @param string|\DateTimeInterface|null $since   as in `history`; null for everything
     * @param int                            $limit   messages on a page
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
     * Who is present in a topic whose rule says `presence = true`.
     *
     * @throws FanwireException Unavailable where presence is not kept
     */
    public function presence(string $topic): Presence
    {
        $fields = $this->caller->call('GET', Address::topic($topic) . '/presence');
        if (!is_array($fields['members'] ?? null)) {
            throw new UnexpectedAnswer('The broker does not name who is present: it is too old.', 'unexpected_answer');
        }
        return Presence::read($fields);
    }

    /**
     * Listens for as long as you let it: in a worker, on the command line. It comes back by itself when the connection
     * breaks and goes on right after the last message; what cannot be had any more is told, by `$onGap` and by `gap` of
     * the next message. The first connection must succeed.
     *
     * @param string|list<string>            $topics    topics or patterns
     * @param string|\DateTimeInterface|null $since     begin after this cursor, at this moment, at an age or at
     *                                                  'earliest'; null for now. Patterns begin now
     * @param (callable(): bool)|null        $until     asked at least once a second (when polling: after each poll,
     *                                                  20 s at most); true ends the listening
     * @param (callable(?string): void)|null $onGap     something was missed: given on which topic, if known
     * @param (callable(string, float): void)|null $onTrouble what went wrong, and in how many seconds it is tried
     *                                                  again; without it, error_log is told
     * @param bool                           $polling   by long polling, where a proxy holds streams back
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
        $tell = static function (string $trouble, float $seconds): void {
            error_log(sprintf('fanwire: %s Trying again in %.1f s.', $trouble, $seconds));
        };
        $listener = new Listener(
            $source,
            self::place($since),
            ($until ?? static fn (): bool => false)(...),
            ($onGap ?? static fn (?string $topic) => null)(...),
            ($onTrouble ?? $tell)(...),
        );
        return $listener->messages();
    }

    /**
     * Lets go of all that a topic holds; for a key with `admin = true`. Its numbering goes on, and whoever has not seen
     * everything is told of the gap.
     *
     * @return string the cursor up to which that was
     * @throws FanwireException
     */
    public function clearHistory(string $topic): string
    {
        Address::topic($topic);
        $fields = $this->caller->call('DELETE', '/api/v1/topics/' . rawurlencode($topic) . '/history');
        return Receipt::read($fields)->cursor();
    }

    /** Who is connected, and acting on them; for a key with `admin = true`. */
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

    /** A place as URLs have it. */
    private static function place(string|\DateTimeInterface|null $since): ?string
    {
        if ($since instanceof \DateTimeInterface) {
            $utc = \DateTimeImmutable::createFromInterface($since)->setTimezone(new \DateTimeZone('UTC'));
            return $utc->format('Y-m-d\TH:i:s.v\Z');
        }
        return $since;
    }
}
