<?php

/**
 * Owns HTTP over ext-curl: single calls on one kept connection, and event streams. It does not know what the messages
 * mean.
 */

declare(strict_types=1);

namespace Fanwire\Http;

use Fanwire\Exception\TooLarge;
use Fanwire\Exception\Unreachable;

/** Sends requests with ext-curl. It is the transport of a Broker by default. */
final class CurlTransport implements Transport
{
    /** The handle that keeps the connection between two calls; null while a call has it. */
    private ?\CurlHandle $handle = null;
    private ForkGuard $guard;

    /**
     * @param float       $connectTimeout the maximum number of seconds for connecting, as a part of a call's time
     * @param string|null $caFile         a file of CA certificates (PEM) to trust, in place of those of the system
     */
    public function __construct(
        private readonly float $connectTimeout = 2.0,
        private readonly ?string $caFile = null,
    ) {
        $this->guard = new ForkGuard();
    }

    public function __clone()
    {
        $this->handle = null;
    }

    /** @return array{float, string|null} the options, without the connection */
    public function __serialize(): array
    {
        return [$this->connectTimeout, $this->caFile];
    }

    /** @param array{float, string|null} $options */
    public function __unserialize(array $options): void
    {
        [$this->connectTimeout, $this->caFile] = $options;
        $this->guard = new ForkGuard();
    }

    public function send(Request $request, float $timeout): Answer
    {
        $handle = $this->takeHandle();
        $headers = [];
        $body = '';
        $isTooLarge = false;
        curl_setopt_array($handle, $this->options($request, $headers) + [
            CURLOPT_TIMEOUT_MS => max(1, (int) ceil($timeout * 1000)),
            CURLOPT_WRITEFUNCTION => static function ($handle, string $bytes) use (&$body, &$isTooLarge): int {
                $isTooLarge = strlen($body) + strlen($bytes) > self::ANSWER_BYTES_MAX;
                if ($isTooLarge) {
                    return 0;
                }
                $body .= $bytes;
                return strlen($bytes);
            },
        ]);
        $isDone = curl_exec($handle);
        if ($isTooLarge) {
            throw new TooLarge(
                'The response has more than ' . self::ANSWER_BYTES_MAX . ' bytes. Read less in one call with limit.',
                'too_large',
            );
        }
        if ($isDone === false) {
            // The handle is not kept: what is left of its connection may not serve another call.
            throw self::unreachable($request, curl_errno($handle));
        }
        $this->handle = $handle;
        return new Answer((int) curl_getinfo($handle, CURLINFO_RESPONSE_CODE), $headers, $body);
    }

    /** Returns the kept handle of this process, or a new one after a fork and while another call has it. */
    private function takeHandle(): \CurlHandle
    {
        if ($this->guard->isForked()) {
            if ($this->handle !== null) {
                ForkGuard::keep($this->handle);
            }
            $this->handle = null;
            $this->guard = new ForkGuard();
        }
        $handle = $this->handle ?? curl_init();
        $this->handle = null;
        curl_reset($handle);
        return $handle;
    }

    /** Opens a response that is read while it arrives, on a connection of its own. */
    public function stream(Request $request): CurlStream
    {
        $headers = [];
        $handle = curl_init();
        // The stream reads the headers through the reference that curl's callback writes to.
        curl_setopt_array($handle, $this->options($request, $headers));
        return new CurlStream($handle, $headers, $request);
    }

    /**
     * Returns the error for a failure of curl. It names the kind of failure and the host, and nothing of the request.
     *
     * @internal
     */
    public static function unreachable(Request $request, int $errno): Unreachable
    {
        $parts = parse_url($request->url);
        $place = is_array($parts) ? ($parts['scheme'] ?? '') . '://' . ($parts['host'] ?? '')
            . (isset($parts['port']) ? ":{$parts['port']}" : '') : 'the URL';
        $reason = curl_strerror($errno) ?? 'failed';
        [$code, $hint] = match ($errno) {
            CURLE_OPERATION_TIMEOUTED => ['timed_out', 'The broker may be too busy, or the timeout too short.'],
            CURLE_COULDNT_RESOLVE_HOST => ['unreachable', 'Check the host name in the URL.'],
            CURLE_SSL_CONNECT_ERROR, 60, 77 => ['unreachable', 'Check http or https in the URL, and the certificate.'],
            default => ['unreachable', 'Is it running, and is the URL right?'],
        };
        $proxy = ProxyVariables::hintForCurl($request->url);
        return new Unreachable("No answer from the broker at $place ($reason). $hint$proxy", $code);
    }

    /**
     * @param array<string, string> $answerHeaders filled as they arrive
     * @return array<int, mixed>
     */
    private function options(Request $request, array &$answerHeaders): array
    {
        $lines = ['Expect:'];
        foreach ($request->headers as $name => $value) {
            $lines[] = "$name: $value";
        }
        if ($request->credential !== null) {
            $lines[] = 'Authorization: Bearer ' . $request->credential->reveal();
        }
        $options = [
            CURLOPT_URL => $request->url,
            CURLOPT_CUSTOMREQUEST => $request->method,
            CURLOPT_HTTPHEADER => $lines,
            CURLOPT_FOLLOWLOCATION => false,
            CURLOPT_PROTOCOLS => CURLPROTO_HTTP | CURLPROTO_HTTPS,
            CURLOPT_PATH_AS_IS => true,
            CURLOPT_NOSIGNAL => true,
            CURLOPT_CONNECTTIMEOUT_MS => max(1, (int) ceil($this->connectTimeout * 1000)),
            CURLOPT_HEADERFUNCTION => static function ($handle, string $line) use (&$answerHeaders): int {
                if (str_starts_with($line, 'HTTP/')) {
                    // A new head: the lines before belonged to an interim response.
                    $answerHeaders = [];
                } elseif (str_contains($line, ':')) {
                    [$name, $value] = explode(':', $line, 2);
                    $answerHeaders[strtolower(trim($name))] = trim($value);
                }
                return strlen($line);
            },
        ];
        if ($request->body !== '' || $request->method === 'POST') {
            $options[CURLOPT_POSTFIELDS] = $request->body;
        }
        if ($this->caFile !== null) {
            $options[CURLOPT_CAINFO] = $this->caFile;
        }
        return $options;
    }
}
