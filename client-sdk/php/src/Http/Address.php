<?php

/**
 * Owns where the broker is, checked once. It does not know what is asked there.
 */

declare(strict_types=1);

namespace Fanwire\Http;

use Fanwire\Exception\BadConfiguration;
use Fanwire\Exception\BadRequest;

/**
 * The base URL of a broker.
 *
 * @internal
 */
final class Address
{
    private readonly string $base;

    /**
     * Takes `http://host:7400`, or `https://host/live` behind a proxy.
     *
     * @throws BadConfiguration when it cannot be the address of a broker
     */
    public function __construct(string $url)
    {
        $parts = parse_url($url);
        $wrong = match (true) {
            !is_array($parts) || !isset($parts['scheme'], $parts['host']) => 'it is not a whole URL',
            in_array($parts['scheme'], ['ws', 'wss'], true) => 'it is that of WebSockets; here it begins with http',
            !in_array($parts['scheme'], ['http', 'https'], true) => 'it must begin with http:// or https://',
            isset($parts['user']) || isset($parts['pass']) => 'it holds a user or password; a key has its own argument',
            isset($parts['query']) || isset($parts['fragment']) => 'it ends in ? or #; a key has its own argument',
            preg_match('/[\s\x00-\x1f\x7f]/', $url) === 1 => 'it holds white space',
            default => null,
        };
        if ($wrong !== null) {
            // The URL itself is not repeated: somebody may have put a key into it.
            throw new BadConfiguration(
                "The URL of the broker cannot be used: $wrong. Write it like http://localhost:7400.",
                'bad_url',
            );
        }
        $this->base = rtrim($url, '/');
    }

    /** The URL of a path of the broker, such as `/publish`, with the parts of a query. */
    public function url(string $path, string $query = ''): string
    {
        return $this->base . $path . ($query === '' ? '' : "?$query");
    }

    /** Where the broker is, for messages. */
    public function __toString(): string
    {
        return $this->base;
    }

    /**
     * The path of a topic or pattern.
     *
     * @throws BadRequest when it cannot stand in a URL; every other rule of names the broker itself explains
     */
    public static function topic(string $topic): string
    {
        // URLs give these two a meaning of their own, which clients apply before the broker sees them.
        if (in_array($topic, ['', '.', '..'], true) || preg_match('//u', $topic) !== 1) {
            throw new BadRequest(
                'That is no topic: a topic is UTF-8 with levels between full stops, as in chat.lobby.',
                'bad_topic',
            );
        }
        return '/topics/' . rawurlencode($topic);
    }
}
