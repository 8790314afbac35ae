<?php

/**
 * Owns the URL of the broker, checked once. It does not know the calls.
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
     * @throws BadConfiguration when it cannot be the URL of a broker
     */
    public function __construct(string $url)
    {
        $parts = parse_url($url);
        $wrong = match (true) {
            !is_array($parts) || !isset($parts['scheme'], $parts['host']) => 'it is not a complete URL',
            in_array($parts['scheme'], ['ws', 'wss'], true) => 'it begins with ws; here it must begin with http:// or https://',
            !in_array($parts['scheme'], ['http', 'https'], true) => 'it must begin with http:// or https://',
            isset($parts['user']) || isset($parts['pass']) => 'it contains a user or password; pass a key as the argument $key',
            isset($parts['query']) || isset($parts['fragment']) => 'it contains ? or #; pass a key as the argument $key',
            preg_match('/[\s\x00-\x1f\x7f]/', $url) === 1 => 'it contains white space',
            default => null,
        };
        if ($wrong !== null) {
            // The URL itself is not repeated: it may contain a key by mistake.
            throw new BadConfiguration(
                "The URL of the broker cannot be used: $wrong. Write it like http://localhost:7400.",
                'bad_url',
            );
        }
        $this->base = rtrim($url, '/');
    }

    /** Returns the URL of a path of the broker, such as `/publish`, with a query. */
    public function url(string $path, string $query = ''): string
    {
        return $this->base . $path . ($query === '' ? '' : "?$query");
    }

    /** Returns the URL of the broker, for messages. */
    public function __toString(): string
    {
        return $this->base;
    }

    /**
     * Returns the path of a topic or pattern.
     *
     * @throws BadRequest when it cannot be part of a URL; the broker explains every other rule of topics
     */
    public static function topic(string $topic): string
    {
        // In URLs the names . and .. mean folders, and HTTP clients remove them.
        if (in_array($topic, ['', '.', '..'], true) || preg_match('//u', $topic) !== 1) {
            throw new BadRequest(
                'The topic is invalid: a topic is UTF-8 text with levels separated by dots, such as chat.lobby.',
                'bad_topic',
            );
        }
        return '/topics/' . rawurlencode($topic);
    }
}
