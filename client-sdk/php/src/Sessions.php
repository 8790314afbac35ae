<?php

/**
 * Owns what a back end sees of sessions and does to them (docs/http.md, server calls). It does not know how calls
 * travel.
 */

declare(strict_types=1);

namespace Fanwire;

use Fanwire\Exception\BadRequest;
use Fanwire\Exception\FanwireException;
use Fanwire\Http\Caller;

/** The sessions of a broker, for a key with `admin = true`; made by `Broker::sessions`. */
final class Sessions
{
    /** @internal */
    public function __construct(private readonly Caller $caller)
    {
    }

    /**
     * All sessions, asked for page by page. What comes and goes meanwhile may be missing.
     *
     * @param int $limit sessions on a page, up to 1000
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
     * How many there are.
     *
     * @throws FanwireException
     */
    public function count(): int
    {
        return Payload::int($this->caller->call('GET', '/api/v1/sessions', 'limit=1'), 'total') ?? 0;
    }

    /**
     * One session, with the topics it is subscribed to; null if there is none (any more).
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
     * @param string      $connection the name that hooks and presence say
     * @param string|null $reason     a sentence for the client
     * @param int|null    $code       the close code: 4440 if not said; your own are 4000 to 4399 and 4500 to 4999
     * @param bool        $reconnect  whether the client should come back
     * @return bool whether it was there
     * @throws FanwireException
     */
    public function disconnect(
        string $connection,
        ?string $reason = null,
        ?int $code = null,
        bool $reconnect = false,
    ): bool {
        $body = self::farewell($reason, $code, $reconnect);
        return $this->named('POST', 'sessions', $connection, '/disconnect', $body) !== null;
    }

    /**
     * Ends all sessions of a user: who has signed out, or must not go on.
     *
     * @param string      $user      the user's id
     * @param string|null $reason    a sentence for the client
     * @param int|null    $code      the close code: 4440 if not said; your own are 4000 to 4399 and 4500 to 4999
     * @param bool        $reconnect whether the clients should come back
     * @return int how many there were
     * @throws FanwireException
     */
    public function disconnectUser(
        string $user,
        ?string $reason = null,
        ?int $code = null,
        bool $reconnect = false,
    ): int {
        $body = self::farewell($reason, $code, $reconnect);
        return Payload::int($this->named('POST', 'users', $user, '/disconnect', $body) ?? [], 'sessions') ?? 0;
    }

    /**
     * Says something to one session, without a topic: its page hears it on `$direct`. It is kept nowhere and asked
     * once, so whoever is not connected misses it; what must not be missed is published to a topic of the user's own.
     *
     * @param mixed $payload a string is text, a Binary is binary, everything else is JSON
     * @return bool whether it was there
     * @throws FanwireException Unavailable for a session whose transport could not tell it from its topic's messages
     */
    public function send(string $connection, mixed $payload): bool
    {
        $body = Payload::encode(Payload::fields($payload));
        return $this->named('POST', 'sessions', $connection, '/send', $body) !== null;
    }

    /**
     * Says something to all sessions of a user, as `send` does.
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
     * Begins a subscription for a session at /ws, whatever its own grants say.
     *
     * @param string                         $topic a topic or pattern
     * @param string|\DateTimeInterface|null $since where it begins: a cursor, a moment or 'earliest'; null for now
     * @param int|null                       $last  begin with the newest so many, in place of `$since`
     * @return bool whether it was there
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
     * Begins a subscription for all sessions of a user at /ws, whatever their own grants say. It ends with each
     * connection.
     *
     * @param string                         $topic a topic or pattern
     * @param string|\DateTimeInterface|null $since where it begins: a cursor, a moment or 'earliest'; null for now
     * @param int|null                       $last  begin with the newest so many, in place of `$since`
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
     * Ends a subscription of a session; where its URL is the subscription, the session.
     *
     * @param string      $topic  exactly as it was subscribed to
     * @param string|null $reason a sentence for the client
     * @return bool whether the session was there
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
     * @param string      $topic  exactly as it was subscribed to
     * @param string|null $reason a sentence for the client
     * @throws FanwireException
     */
    public function unsubscribeUser(string $user, string $topic, ?string $reason = null): Reached
    {
        $body = self::json(['topic' => $topic, 'reason' => $reason]);
        return Reached::read($this->named('POST', 'users', $user, '/unsubscribe', $body) ?? []);
    }

    /**
     * A call about somebody with a name; null if they are not there.
     *
     * @return array<string, mixed>|null
     */
    private function named(string $method, string $kind, string $name, string $call, string $body = ''): ?array
    {
        if (in_array($name, ['', '.', '..'], true)) {
            // URLs give these a meaning of their own; no session is called so.
            throw new BadRequest('Name the session or user that is meant.', 'bad_name');
        }
        $headers = $body === '' ? [] : ['Content-Type' => 'application/json'];
        $path = "/api/v1/$kind/" . rawurlencode($name) . $call;
        try {
            // Everything else may be done twice and is there once; what is said twice is heard twice.
            return $call === '/send'
                ? $this->caller->callOnce($method, $path, $headers, $body)
                : $this->caller->call($method, $path, '', $headers, $body);
        } catch (BadRequest $error) {
            return $error->status === 404 ? null : throw $error;
        }
    }

    private static function farewell(?string $reason, ?int $code, bool $reconnect): string
    {
        return self::json(['reason' => $reason, 'code' => $code, 'reconnect' => $reconnect]);
    }

    private static function subscription(string $topic, string|\DateTimeInterface|null $since, ?int $last): string
    {
        $place = $since instanceof \DateTimeInterface ? ['ts' => (int) $since->format('Uv')] : $since;
        return self::json(['topic' => $topic, 'since' => $place, 'last' => $last]);
    }

    /** @param array<string, mixed> $fields of which those that are null are left out */
    private static function json(array $fields): string
    {
        return Payload::encode(array_filter($fields, static fn (mixed $value): bool => $value !== null));
    }
}
