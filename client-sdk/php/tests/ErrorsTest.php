<?php

/**
 * Failures as exceptions that say what to do: wrong URLs, refused credentials, a stopped broker, another server in its
 * place.
 */

declare(strict_types=1);

namespace Fanwire\Tests;

use Fanwire\Binary;
use Fanwire\Broker;
use Fanwire\Exception\BadConfiguration;
use Fanwire\Exception\BadRequest;
use Fanwire\Exception\FanwireException;
use Fanwire\Exception\Forbidden;
use Fanwire\Exception\RateLimited;
use Fanwire\Exception\TooLarge;
use Fanwire\Exception\Unauthorized;
use Fanwire\Exception\Unavailable;
use Fanwire\Exception\UnexpectedAnswer;
use Fanwire\Exception\Unreachable;
use Fanwire\Http\Answer;
use Fanwire\Http\Problem;
use Fanwire\Publication;
use Fanwire\Refusal;
use PHPUnit\Framework\TestCase;

final class ErrorsTest extends TestCase
{
    /** @return list<array{string}> */
    public function badUrls(): array
    {
        return [
            [''], ['localhost'], ['localhost:7400'], ['/live'], ['ftp://localhost'], ['ws://localhost:7400'],
            ['http://'], ['http://shop:secret@localhost'], ['http://localhost?token=secret'], ['http://localhost#a'],
            ["http://localhost\n"], ['http://local host'],
        ];
    }

    /** @dataProvider badUrls */
    public function testWrongUrlIsFoundBeforeAnythingIsSent(string $url): void
    {
        try {
            new Broker($url);
            self::fail('It was accepted.');
        } catch (BadConfiguration $error) {
            self::assertSame('bad_url', $error->errorCode);
            self::assertStringNotContainsString('secret', $error->getMessage());
        }
    }

    /** @return list<array{array<string, mixed>}> */
    public function badOptions(): array
    {
        return [[['key' => '']], [['key' => "fwk_a\r\nX: y"]], [['key' => 'a b']], [['timeout' => 0.0]], [['attempts' => 0]]];
    }

    /**
     * @dataProvider badOptions
     * @param array<string, mixed> $options
     */
    public function testWrongOptionIsFoundBeforeAnythingIsSent(array $options): void
    {
        $this->expectException(BadConfiguration::class);
        new Broker('http://localhost:7400', ...$options);
    }

    public function testStoppedBrokerIsUnreachable(): void
    {
        $running = new RunningBroker();
        $broker = new Broker($running->url);
        $broker->publish('php.away', 1);
        $running->stop();
        foreach ([fn () => $broker->publish('php.away', 2), fn () => $broker->listen('php.away')->current()] as $call) {
            $error = $this->caught($call, Unreachable::class);
            self::assertStringContainsString("127.0.0.1:{$running->port}", $error->getMessage());
            self::assertStringContainsString('Is it running', $error->getMessage());
            self::assertNull($error->status);
        }
        $again = new RunningBroker(port: $running->port);
        self::assertSame(1, $broker->publish('php.away', 3)->offset, 'A client outlives its broker.');
        $again->kill();
    }

    public function testHostThatDoesNotExistIsNamed(): void
    {
        $error = $this->caught(fn () => (new Broker('http://fanwire.invalid'))->publish('a', 1), Unreachable::class);
        self::assertStringContainsString('fanwire.invalid', $error->getMessage());
        self::assertStringContainsString('host name', $error->getMessage());
    }

    public function testCallToASilentBrokerTimesOut(): void
    {
        // The kernel accepts its connections; no process reads from them.
        $silent = stream_socket_server('tcp://127.0.0.1:0');
        self::assertNotFalse($silent);
        $url = 'http://' . stream_socket_get_name($silent, false);
        foreach ([fn (Broker $b) => $b->publish('a', 1), fn (Broker $b) => $b->listen('a')->current()] as $call) {
            $begun = microtime(true);
            $error = $this->caught(fn () => $call(new Broker($url, timeout: 0.3)), Unreachable::class);
            self::assertSame('timed_out', $error->errorCode);
            self::assertLessThan(5.0, microtime(true) - $begun);
        }
    }

    public function testRefusedCredentialsAreUnauthorized(): void
    {
        $running = new RunningBroker(RunningBroker::secured());
        $explanations = [
            [null, '/requires credentials: pass an API key or a token as \$key/'],
            ['fwk_unknown', '/API key/'],
            ['neither', '/neither an API key, which begins with fwk_, nor a token/'],
            ['no.token.atall', '/token/'],
        ];
        foreach ($explanations as [$key, $explanation]) {
            $broker = new Broker($running->url, $key);
            $calls = [
                fn () => $broker->publish('a', 1),
                fn () => $broker->publishMany([new Publication('a', 1)]),
                fn () => $broker->history('a'),
                fn () => $broker->listen('a')->current(),
                fn () => $broker->listen('a', polling: true)->current(),
            ];
            foreach ($calls as $call) {
                $error = $this->caught($call, Unauthorized::class);
                self::assertSame(401, $error->status);
                self::assertSame('unauthorized', $error->errorCode);
                self::assertMatchesRegularExpression($explanation, $error->getMessage());
                self::assertDoesNotMatchRegularExpression('/connect|Bearer|\?token/', $error->getMessage());
            }
        }
        self::assertSame(1, (new Broker($running->url, RunningBroker::KEY))->publish('a', 1)->offset);
    }

    public function testTopicsOfTheBrokerAreForbidden(): void
    {
        $running = new RunningBroker();
        $error = $this->caught(fn () => $running->client()->publish('$own.a', 1), Forbidden::class);
        self::assertSame('forbidden', $error->errorCode);
    }

    public function testInvalidTopicIsABadRequest(): void
    {
        $running = new RunningBroker();
        $broker = $running->client();
        foreach (['', '.', '..', 'two words', 'a..b', 'chat.*', '../metrics', 'a/b c', "\xff"] as $topic) {
            $error = $this->caught(fn () => $broker->publish($topic, 1), BadRequest::class);
            self::assertSame('bad_topic', $error->errorCode, $topic);
        }
        $this->caught(fn () => $broker->listen([]), BadRequest::class);
        $this->caught(fn () => $broker->listen('two words')->current(), BadRequest::class);
        $this->caught(fn () => $broker->publish('a', 1, key: "two\nlines"), BadRequest::class);
        foreach (['a/b', 'a?b', 'a#b', 'a%2Fb', 'Käse.ü'] as $topic) {
            self::assertSame($topic, $broker->publish($topic, 1)->topic);
            self::assertCount(1, $broker->history($topic));
        }
    }

    public function testPayloadThatIsTooLargeSaysSo(): void
    {
        $running = new RunningBroker("[limits]\nmessage_bytes_max = \"64KiB\"\n");
        $broker = $running->client();
        $large = str_repeat('a', 100_000);
        foreach ([$large, new Binary($large), ['a' => $large]] as $payload) {
            $error = $this->caught(fn () => $broker->publish('a', $payload), TooLarge::class);
            self::assertSame(413, $error->status);
            self::assertStringNotContainsString('aaaa', $error->getMessage());
        }
        $results = $broker->publishMany([new Publication('a', $large), new Publication('a', 'small')]);
        self::assertInstanceOf(Refusal::class, $results->results[0]);
        self::assertSame('too_large', $results->results[0]->code);
        self::assertArrayHasKey(1, $results->receipts());
    }

    public function testRefusedRateSaysWhenToRetry(): void
    {
        $running = new RunningBroker("[[topic]]\nmatch = \"slow.>\"\nrate = { per_second = 1, burst = 1 }\n");
        $broker = $running->client();
        $broker->publish('slow.a', 1);
        $error = $this->caught(fn () => $broker->publish('slow.a', 2), RateLimited::class);
        self::assertSame('rate_limited', $error->errorCode);
        self::assertSame(429, $error->status);
        self::assertSame(1.0, $error->retryAfter);
    }

    public function testAnotherServerInPlaceOfTheBrokerIsDetected(): void
    {
        $site = new PhpServer(__DIR__ . '/apps/website.php');
        $expected = ['/' => UnexpectedAnswer::class, '/redirect' => UnexpectedAnswer::class, '/missing' => UnexpectedAnswer::class,
            '/json' => UnexpectedAnswer::class, '/gateway' => Unavailable::class, '/large' => TooLarge::class];
        foreach ($expected as $path => $class) {
            $broker = new Broker($site->url . $path, 'fwk_secret');
            $calls = [fn () => $broker->publish('a', 1)];
            if ($path !== '/json') {
                $calls[] = fn () => $broker->listen('a')->current();
                $calls[] = fn () => $broker->history('a');
            }
            foreach ($calls as $call) {
                $error = $this->caught($call, $class);
                self::assertStringNotContainsString('<html', $error->getMessage());
                self::assertNotSame('', $error->advice());
            }
        }
        self::assertStringNotContainsString('fwk_secret', $site->visits(), 'Redirects are not followed with the key.');
    }

    public function testUnknownCodesAndForgedProblemsAreStillErrors(): void
    {
        $problem = static fn (int $status, string $body, string $retry = ''): FanwireException => Problem::exception(
            new Answer($status, ['content-type' => 'application/problem+json', 'retry-after' => $retry], $body),
        );
        self::assertInstanceOf(BadRequest::class, $problem(400, '{"code":"newer","detail":"Do this."}'));
        self::assertSame('Do this.', $problem(400, '{"code":"newer","detail":"Do this."}')->getMessage());
        self::assertInstanceOf(Unavailable::class, $problem(503, '{"code":"limit_exceeded","detail":7}', '5'));
        self::assertSame(5.0, $problem(503, '{"code":"limit_exceeded"}', '5')->retryAfter);
        self::assertNull($problem(503, '{"code":"unavailable"}', 'Sat, 21 Nov 2026 10:00:00 GMT')->retryAfter);
        foreach (['', '{', '[]', '{"code":7}', 'null'] as $body) {
            self::assertInstanceOf(UnexpectedAnswer::class, $problem(400, $body));
        }
    }

    /** @param class-string<FanwireException> $class */
    private function caught(callable $call, string $class): FanwireException
    {
        try {
            $call();
        } catch (FanwireException $error) {
            self::assertInstanceOf($class, $error, $error->getMessage());
            return $error;
        }
        self::fail("There was no $class.");
    }
}
