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
        return (int) ($this->caller->call('GET', '/api/v1/sessions', 'limit=1')['total'] ?? 0);
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
        return (int) ($this->named('POST', 'users', $user, '/disconnect', $body)['sessions'] ?? 0);
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
        try {
            return $this->caller->call($method, "/api/v1/$kind/" . rawurlencode($name) . $call, '', $headers, $body);
        } catch (BadRequest $error) {
            return $error->status === 404 ? null : throw $error;
        }
    }

    private static function farewell(?string $reason, ?int $code, bool $reconnect): string
    {
        $fields = ['reason' => $reason, 'code' => $code, 'reconnect' => $reconnect];
        return Payload::encode(array_filter($fields, static fn (mixed $value): bool => $value !== null));
    }
}
