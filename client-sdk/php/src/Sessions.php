<?php

/**
 * Owns the server API for sessions (docs/http.md): listing them and acting on them. It does not know how requests
 * travel.
 */

declare(strict_types=1);

namespace Fanwire;

use Fanwire\Exception\BadRequest;
use Fanwire\Exception\FanwireException;
use Fanwire\Http\Caller;

/** The sessions of a broker; `Broker::sessions` makes it. Requires a key with `admin = true`. */
final class Sessions
{
    /** @internal */
    public function __construct(private readonly Caller $caller)
    {
    }

    /**
     * Returns all sessions, read page by page. A session that connects or ends meanwhile may be missing.
     *
     * @param int $limit the number of sessions on a page, up to 1000
     * @return \Generator<int, Session>
     * @throws FanwireException
     */
    public function all(int $limit = 100): \Generator
    {
        $parameters = ['limit' => (string) $limit];
        do {
            $query = http_build_query($parameters, '', '&', PHP_QUERY_RFC3986);
            $page = $this->caller->call('GET', '/api/v1/sessions', $query);
            foreach ((array) ($page['sessions'] ?? []) as $fields) {
                yield Session::read((array) $fields);
            }
            $parameters['after'] = isset($page['next']) ? (string) $page['next'] : '';
        } while ($parameters['after'] !== '');
    }

    /**
     * Returns the number of sessions.
     *
     * @throws FanwireException
     */
    public function count(): int
    {
        return Payload::int($this->caller->call('GET', '/api/v1/sessions', 'limit=1'), 'total') ?? 0;
    }

    /**
     * Returns one session with its subscriptions, or null if it does not exist.
     *
     * @throws FanwireException
     */
    public function find(string $connection): ?Session
    {
        $fields = $this->named('GET', 'sessions', $connection, '');
        return $fields === null ? null : Session::read($fields);
    }

    /**
     * Ends a session.
     *
     * @param string      $connection the id of the connection, as callouts, webhooks and presence name it
     * @param string|null $reason     a sentence for the client
     * @param int|null    $code       the close code: 4440 by default; your own are 4000 to 4399 and 4500 to 4999
     * @param bool        $reconnect  whether the client may reconnect
     * @return bool whether the session existed
     * @throws FanwireException
     */
    public function disconnect(
        string $connection,
        ?string $reason = null,
        ?int $code = null,
        bool $reconnect = false,
    ): bool {
        $body = self::closeBody($reason, $code, $reconnect);
        return $this->named('POST', 'sessions', $connection, '/disconnect', $body) !== null;
    }

    /**
     * Ends all sessions of a user, after a sign-out for example.
     *
     * @param string      $user      the user's id
     * @param string|null $reason    a sentence for the client
     * @param int|null    $code      the close code: 4440 by default; your own are 4000 to 4399 and 4500 to 4999
     * @param bool        $reconnect whether the clients may reconnect
     * @return int the number of sessions
     * @throws FanwireException
     */
    public function disconnectUser(
        string $user,
        ?string $reason = null,
        ?int $code = null,
        bool $reconnect = false,
    ): int {
        $body = self::closeBody($reason, $code, $reconnect);
        return Payload::int($this->named('POST', 'users', $user, '/disconnect', $body) ?? [], 'sessions') ?? 0;
    }

    /**
     * Sends a payload to one session, without a topic: the page receives it on `$direct`. It is not kept, and the call
     * is not repeated. For messages that must arrive, publish to a topic of the user.
     *
     * @param mixed $payload a string is text, a Binary is binary, everything else is JSON
     * @return bool whether the session existed
     * @throws FanwireException Unavailable for a transport that has only the messages of its topic (bare, poll)
     */
    public function send(string $connection, mixed $payload): bool
    {
        $body = Payload::encode(Payload::fields($payload));
        return $this->named('POST', 'sessions', $connection, '/send', $body) !== null;
    }

    /**
     * Sends a payload to all sessions of a user, as `send` does.
     *
     * @param mixed $payload a string is text, a Binary is binary, everything else is JSON
     * @throws FanwireException
     */
    public function sendToUser(string $user, mixed $payload): Reached
    {
        $body = Payload::encode(Payload::fields($payload));
        return Reached::read($this->named('POST', 'users', $user, '/send', $body) ?? []);
    }

    /**
     * Subscribes a session at /ws to a topic. The session needs no grant for it.
     *
     * @param string                         $topic a topic or pattern
     * @param string|\DateTimeInterface|null $since the start point: a cursor, a time or 'earliest'; null for now
     * @param int|null                       $last  begin with this many of the newest messages, in place of `$since`
     * @return bool whether the session existed
     * @throws FanwireException
     */
    public function subscribe(
        string $connection,
        string $topic,
        string|\DateTimeInterface|null $since = null,
        ?int $last = null,
    ): bool {
        $body = self::subscription($topic, $since, $last);
        return $this->named('POST', 'sessions', $connection, '/subscribe', $body) !== null;
    }

    /**
     * Subscribes all sessions of a user at /ws to a topic. They need no grant for it. The subscriptions end with the
     * connections.
     *
     * @param string                         $topic a topic or pattern
     * @param string|\DateTimeInterface|null $since the start point: a cursor, a time or 'earliest'; null for now
     * @param int|null                       $last  begin with this many of the newest messages, in place of `$since`
     * @throws FanwireException
     */
    public function subscribeUser(
        string $user,
        string $topic,
        string|\DateTimeInterface|null $since = null,
        ?int $last = null,
    ): Reached {
        $body = self::subscription($topic, $since, $last);
        return Reached::read($this->named('POST', 'users', $user, '/subscribe', $body) ?? []);
    }

    /**
     * Ends a subscription of a session. Where the URL is the subscription, the session ends.
     *
     * @param string      $topic  the topic or pattern, exactly as in the subscription
     * @param string|null $reason a sentence for the client
     * @return bool whether the session existed
     * @throws FanwireException
     */
    public function unsubscribe(string $connection, string $topic, ?string $reason = null): bool
    {
        $body = self::json(['topic' => $topic, 'reason' => $reason]);
        return $this->named('POST', 'sessions', $connection, '/unsubscribe', $body) !== null;
    }

    /**
     * Ends a subscription of all sessions of a user.
     *
     * @param string      $topic  the topic or pattern, exactly as in the subscription
     * @param string|null $reason a sentence for the client
     * @throws FanwireException
     */
    public function unsubscribeUser(string $user, string $topic, ?string $reason = null): Reached
    {
        $body = self::json(['topic' => $topic, 'reason' => $reason]);
        return Reached::read($this->named('POST', 'users', $user, '/unsubscribe', $body) ?? []);
    }

    /**
     * Makes a call about one session or user. Returns null if it does not exist.
     *
     * @return array<string, mixed>|null
     */
    private function named(string $method, string $kind, string $name, string $call, string $body = ''): ?array
    {
        if (in_array($name, ['', '.', '..'], true)) {
            // In URLs these have a meaning of their own; no session has such a name.
            throw new BadRequest('Pass the id of a connection or user; it is empty or dots only.', 'bad_name');
        }
        $headers = $body === '' ? [] : ['Content-Type' => 'application/json'];
        $path = "/api/v1/$kind/" . rawurlencode($name) . $call;
        try {
            // Only a repeated /send has its effect twice.
            return $call === '/send'
                ? $this->caller->callOnce($method, $path, $headers, $body)
                : $this->caller->call($method, $path, '', $headers, $body);
        } catch (BadRequest $error) {
            return $error->status === 404 ? null : throw $error;
        }
    }

    private static function closeBody(?string $reason, ?int $code, bool $reconnect): string
    {
        return self::json(['reason' => $reason, 'code' => $code, 'reconnect' => $reconnect]);
    }

    private static function subscription(string $topic, string|\DateTimeInterface|null $since, ?int $last): string
    {
        $startPoint = $since instanceof \DateTimeInterface ? ['ts' => (int) $since->format('Uv')] : $since;
        return self::json(['topic' => $topic, 'since' => $startPoint, 'last' => $last]);
    }

    /** @param array<string, mixed> $fields fields that are null are left out */
    private static function json(array $fields): string
    {
        return Payload::encode(array_filter($fields, static fn (mixed $value): bool => $value !== null));
    }
}
