<?php

/**
 * Owns HTTP over a PSR-18 client of the application. It does not know retries; timeouts are those of the client.
 */

declare(strict_types=1);

namespace Fanwire\Http;

use Fanwire\Exception\BadConfiguration;
use Fanwire\Exception\TooLarge;
use Fanwire\Exception\Unreachable;
use Psr\Http\Client\ClientExceptionInterface;
use Psr\Http\Client\ClientInterface;
use Psr\Http\Message\RequestFactoryInterface;
use Psr\Http\Message\StreamFactoryInterface;

/**
 * Sends requests with any PSR-18 client (https://www.php-fig.org/psr/psr-18/). Configure the timeout of the client: the
 * interface has none. `listen` uses long polling, because the interface has no streams; it needs 30 seconds.
 */
final class Psr18Transport implements Transport
{
    private ?ClientInterface $current = null;
    private ?ForkGuard $guard = null;

    /**
     * Takes the client and the factories (PSR-17) for its requests. In a program that forks, pass a function that makes
     * the client: the transport then makes one for each process.
     *
     * @param ClientInterface|(\Closure(): ClientInterface) $client
     */
    public function __construct(
        private readonly ClientInterface|\Closure $client,
        private readonly RequestFactoryInterface $requests,
        private readonly StreamFactoryInterface $streams,
    ) {
    }

    public function send(Request $request, float $timeout): Answer
    {
        $message = $this->requests->createRequest($request->method, $request->url);
        foreach ($request->headers as $name => $value) {
            $message = $message->withHeader($name, $value);
        }
        if ($request->body !== '') {
            $message = $message->withBody($this->streams->createStream($request->body));
        }
        if ($request->credential !== null) {
            $message = $message->withHeader('Authorization', 'Bearer ' . $request->credential->reveal());
        }
        try {
            $response = $this->client()->sendRequest($message);
        } catch (ClientExceptionInterface $error) {
            // The exception is not passed on: it may contain the request, and the key with it.
            throw new Unreachable(
                "No answer from the broker ({$error->getMessage()}). Is it running, and is the URL right?"
                . ProxyVariables::hintForOtherClients($request->url),
                'unreachable',
            );
        }
        $headers = [];
        foreach ($response->getHeaders() as $name => $values) {
            $headers[strtolower((string) $name)] = implode(', ', $values);
        }
        $body = $response->getBody();
        if (($body->getSize() ?? 0) > self::ANSWER_BYTES_MAX) {
            throw new TooLarge('The response has more than ' . self::ANSWER_BYTES_MAX . ' bytes. Read less in one call with limit.', 'too_large');
        }
        return new Answer($response->getStatusCode(), $headers, (string) $body);
    }

    /**
     * Returns the client of this process.
     *
     * @throws BadConfiguration when the process has forked and the client cannot be made anew
     */
    private function client(): ClientInterface
    {
        $isForked = $this->guard?->isForked() ?? false;
        if ($isForked && !$this->client instanceof \Closure) {
            throw new BadConfiguration(
                'This process has forked, and its HTTP client may share a connection with the parent process. Pass '
                . 'Psr18Transport a function that makes the client, in place of the client.',
                'forked',
            );
        }
        if ($isForked && $this->current !== null) {
            ForkGuard::keep($this->current);
            $this->current = null;
        }
        if ($isForked || $this->guard === null) {
            $this->guard = new ForkGuard();
        }
        return $this->current ??= $this->client instanceof \Closure ? ($this->client)() : $this->client;
    }
}
