<?php

/**
 * Owns which proxy variable of the environment applies to a URL, by the rules of libcurl
 * (https://curl.se/libcurl/c/CURLOPT_PROXY.html). It sets no proxy; curl and other HTTP clients read the variables
 * themselves.
 */

declare(strict_types=1);

namespace Fanwire\Http;

/**
 * Names the proxy variable in error messages.
 *
 * @internal
 */
final class ProxyVariables
{
    /** Returns the sentence for a URL that ext-curl has called, or '' where no variable applies. */
    public static function hintForCurl(string $url): string
    {
        // Curl does not read HTTP_PROXY: in CGI a request header Proxy would set it.
        return self::hint($url, ['http_proxy']);
    }

    /** Returns the sentence for a URL that another HTTP client has called, or '' where no variable applies. */
    public static function hintForOtherClients(string $url): string
    {
        return self::hint($url, ['http_proxy', 'HTTP_PROXY']);
    }

    /** @param list<string> $namesForHttp */
    private static function hint(string $url, array $namesForHttp): string
    {
        $parts = (array) parse_url($url);
        $names = ($parts['scheme'] ?? '') === 'https' ? ['https_proxy', 'HTTPS_PROXY'] : $namesForHttp;
        $host = strtolower(trim((string) ($parts['host'] ?? ''), '[]'));
        $excluded = self::value('no_proxy') ?? self::value('NO_PROXY') ?? '';
        if (self::isExcluded($host, $excluded)) {
            return '';
        }
        foreach ([...$names, 'all_proxy', 'ALL_PROXY'] as $name) {
            $value = self::value($name);
            if ($value !== null) {
                // Only host and port are shown: the value may hold a user and a password.
                preg_match('~^(?:[a-z0-9]+://)?(?:.*@)?([^/@]*)~i', $value, $match);
                return " The environment variable $name names the proxy {$match[1]} for this URL. "
                    . "If the proxy is wrong here, unset $name or add $host to NO_PROXY.";
            }
        }
        return '';
    }

    /** An empty variable counts as none, as in libcurl. */
    private static function value(string $name): ?string
    {
        // Of the process itself: what a web server hands on for one request, libcurl does not see.
        $value = getenv($name, true);
        return $value === false || $value === '' ? null : $value;
    }

    private static function isExcluded(string $host, string $list): bool
    {
        if ($list === '*') {
            return true;
        }
        $host = rtrim($host, '.');
        $isAddress = filter_var($host, FILTER_VALIDATE_IP) !== false;
        foreach (preg_split('/[\s,]+/', strtolower($list), -1, PREG_SPLIT_NO_EMPTY) ?: [] as $entry) {
            $name = trim($entry, '.');
            $matches = $isAddress
                ? self::isInNetwork($host, trim($entry, '[]'))
                : $name !== '' && ($host === $name || str_ends_with($host, ".$name"));
            if ($matches) {
                return true;
            }
        }
        return false;
    }

    /** Returns whether an address is the given one, or in the given network (CIDR). */
    private static function isInNetwork(string $address, string $network): bool
    {
        [$base, $bits] = explode('/', $network, 2) + [1 => ''];
        if (filter_var($base, FILTER_VALIDATE_IP) === false) {
            return false;
        }
        $left = (string) inet_pton($address);
        $right = (string) inet_pton($base);
        if (strlen($left) !== strlen($right)) {
            return false;
        }
        $bits = $bits === '' ? 8 * strlen($left) : min((int) $bits, 8 * strlen($left));
        [$bytes, $rest] = [intdiv($bits, 8), $bits % 8];
        if (strncmp($left, $right, $bytes) !== 0) {
            return false;
        }
        return $rest === 0 || (ord($left[$bytes]) ^ ord($right[$bytes])) >> (8 - $rest) === 0;
    }
}
