<?php

/**
 * Owns what every call shares: the URL, the key, the timeout, and repeating. It does not know the paths of the broker.
 */

declare(strict_types=1);

namespace Fanwire\Http;

use Fanwire\Backoff;
use Fanwire\Exception\BadConfiguration;
use Fanwire\Exception\FanwireException;
use Fanwire\Exception\Unauthorized;
use Fanwire\Exception\Unavailable;
use Fanwire\Exception\UnexpectedAnswer;
use Fanwire\Exception\Unreachable;
use Fanwire\Payload;
use Fanwire\Secret;

/**
 * Makes calls to one broker.
 *
 * @internal
 */
final class Caller
{
    /** The maximum wait before the second attempt of a call, in seconds; it doubles for each further attempt. */
    private const PAUSE_SECONDS = 0.05;

    public readonly Address $address;
    public readonly ?Secret $credential;

    /**
     * @param float $timeout  the maximum duration of one call in seconds, all attempts together
     * @param int   $attempts the maximum number of attempts
     * @throws BadConfiguration when an argument is invalid
     */
    public function __construct(
        string $url,
        #[\SensitiveParameter] ?string $key,
        public readonly float $timeout,
        private readonly int $attempts,
        public readonly Transport $transport,
    ) {
        $this->address = new Address($url);
        if ($key !== null && preg_match('/^[\x21-\x7e]+$/D', $key) !== 1) {
            throw new BadConfiguration(
                'The key is empty or contains white space. Pass it exactly as `fanwire token key` printed it, or null.',
                'bad_key',
            );
        }
        if ($timeout <= 0 || $attempts < 1) {
            throw new BadConfiguration('timeout must be more than 0 seconds, and attempts at least 1.', 'bad_option');
        }
        $this->credential = $key === null ? null : new Secret($key);
    }

    /**
     * Makes a call that may be repeated, and returns the JSON object of its response. It is repeated within its timeout
     * when the connection fails or the broker is unavailable.
     *
     * @param array<string, string> $headers
     * @param float                 $extraSeconds an addition to the timeout, for a call that the broker holds
     * @return array<string, mixed>
     * @throws FanwireException
     */
    public function call(
        string $method,
        string $path,
        string $query = '',
        array $headers = [],
        string $body = '',
        float $extraSeconds = 0.0,
    ): array {
        $request = $this->request($method, $path, $query, $headers + ['Accept' => 'application/json'], $body);
        return $this->repeat($request, $this->timeout + $extraSeconds, $this->attempts);
    }

    /**
     * Makes a call that must not be repeated, because it would have its effect twice.
     *
     * @param array<string, string> $headers
     * @return array<string, mixed>
     * @throws FanwireException
     */
    public function callOnce(string $method, string $path, array $headers = [], string $body = ''): array
    {
        $request = $this->request($method, $path, '', $headers + ['Accept' => 'application/json'], $body);
        return $this->repeat($request, $this->timeout, 1);
    }

    /** Returns a request to a path of the broker, with the key. */
    public function request(
        string $method,
        string $path,
        string $query = '',
        #[\SensitiveParameter] array $headers = [],
        #[\SensitiveParameter] string $body = '',
    ): Request {
        return new Request($method, $this->address->url($path, $query), $headers, $body, $this->credential);
    }

    /**
     * Returns the exception for a response without success. The broker explains missing credentials to every kind of
     * client; here the explanation names the argument of the Broker.
     */
    public function problem(Answer $answer, Request $request): FanwireException
    {
        $error = Problem::exception($answer, $this->proxyHint($request));
        $isKeyOrToken = preg_match('/^fwk_|^[^.]+\.[^.]+\.[^.]+$/D', $this->credential?->reveal() ?? '') === 1;
        if ($error->errorCode !== 'unauthorized' || $isKeyOrToken) {
            return $error;
        }
        $message = $this->credential === null
            ? "The broker at {$this->address} requires credentials: pass an API key or a token as \$key of the Broker."
            : 'The $key of the Broker is neither an API key, which begins with fwk_, nor a token, which has three parts '
                . 'separated by dots.';
        return new Unauthorized($message, $error->errorCode, $error->status, $error->retryAfter);
    }

    /** Returns a sentence that names the proxy variable for this request, or ''. */
    public function proxyHint(Request $request): string
    {
        return $this->transport instanceof CurlTransport
            ? ProxyVariables::hintForCurl($request->url)
            : ProxyVariables::hintForOtherClients($request->url);
    }

    /** @return array<string, mixed> */
    private function repeat(Request $request, float $seconds, int $attempts): array
    {
        $deadline = microtime(true) + $seconds;
        $backoff = new Backoff(self::PAUSE_SECONDS, $this->timeout);
        for ($attempt = 1;; $attempt++) {
            try {
                return $this->attempt($request, $deadline - microtime(true));
            } catch (Unreachable | Unavailable $error) {
                $pause = max($backoff->next(), $error->retryAfter ?? 0.0);
                // Other statuses (500, 501) do not pass by waiting.
                $isPassing = $error->status === null || in_array($error->status, [502, 503, 504], true);
                if ($attempt >= $attempts || !$isPassing || microtime(true) + $pause >= $deadline) {
                    throw $error;
                }
                usleep((int) ($pause * 1e6));
            }
        }
    }

    /** @return array<string, mixed> */
    private function attempt(Request $request, float $seconds): array
    {
        $answer = $this->transport->send($request, max(0.001, $seconds));
        if ($answer->status < 200 || $answer->status > 299) {
            throw $this->problem($answer, $request);
        }
        if ($answer->body === '' && $answer->status === 204) {
            return [];
        }
        try {
            $fields = Payload::decode($answer->body);
        } catch (\JsonException) {
            $fields = null;
        }
        if (!is_array($fields)) {
            throw new UnexpectedAnswer(
                "The server at {$this->address} is not a fanwire broker: it answers HTTP {$answer->status} without JSON. "
                . 'Check the URL.' . $this->proxyHint($request),
                'unexpected_answer',
                $answer->status,
            );
        }
        return $fields;
    }
}
