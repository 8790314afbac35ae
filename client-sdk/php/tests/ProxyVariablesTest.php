<?php

/**
 * Proxy variables of the environment: whatever goes wrong names the one that is in force, and never its password.
 */

declare(strict_types=1);

namespace Fanwire\Tests;

use Fanwire\Broker;
use Fanwire\Exception\FanwireException;
use Fanwire\Exception\Unavailable;
use Fanwire\Exception\UnexpectedAnswer;
use Fanwire\Exception\Unreachable;
use Fanwire\Http\Psr18Transport;
use GuzzleHttp\Client;
use Nyholm\Psr7\Factory\Psr17Factory;
use PHPUnit\Framework\TestCase;

final class ProxyVariablesTest extends TestCase
{
    private const NAMES = ['http_proxy', 'HTTP_PROXY', 'https_proxy', 'HTTPS_PROXY', 'all_proxy', 'ALL_PROXY', 'no_proxy', 'NO_PROXY'];
    /** Nothing listens there. */
    private const AWAY = 'http://user:MostSecret@127.0.0.1:1';

    protected function setUp(): void
    {
        array_map('putenv', self::NAMES);
    }

    protected function tearDown(): void
    {
        array_map('putenv', self::NAMES);
    }

    /** @return array<string, array{string, string, string|null}> variables, URL, the variable to be named */
    public function environments(): array
    {
        $away = self::AWAY;
        $http = 'http://broker.invalid:7400';
        $https = 'https://broker.invalid';
        return [
            'http_proxy' => ["http_proxy=$away", $http, 'http_proxy'],
            'without a scheme' => ['http_proxy=user:MostSecret@127.0.0.1:1', $http, 'http_proxy'],
            'for loopback too' => ["http_proxy=$away", 'http://127.0.0.1:2', 'http_proxy'],
            'HTTP_PROXY is not read by curl' => ["HTTP_PROXY=$away", $http, null],
            'http_proxy is not for https' => ["http_proxy=$away", $https, null],
            'HTTPS_PROXY' => ["HTTPS_PROXY=$away", $https, 'HTTPS_PROXY'],
            'small letters count first' => ["https_proxy=$away HTTPS_PROXY=http://127.0.0.1:3", $https, 'https_proxy'],
            'ALL_PROXY' => ["ALL_PROXY=$away", $http, 'ALL_PROXY'],
            'ALL_PROXY for https' => ["ALL_PROXY=$away", $https, 'ALL_PROXY'],
            'the one of the scheme counts first' => ["ALL_PROXY=http://127.0.0.1:3 http_proxy=$away", $http, 'http_proxy'],
            'a proxy that does not exist' => ['ALL_PROXY=http://proxy.invalid:3128', 'http://127.0.0.1:2', 'ALL_PROXY'],
            'empty' => ['http_proxy=', $http, null],
            'NO_PROXY for all' => ["http_proxy=$away NO_PROXY=*", $http, null],
            'NO_PROXY with the host' => ["http_proxy=$away NO_PROXY=a.invalid,broker.invalid", $http, null],
            'NO_PROXY with the domain' => ["http_proxy=$away NO_PROXY=.invalid", $http, null],
            'NO_PROXY with another host' => ["http_proxy=$away NO_PROXY=roker.invalid", $http, 'http_proxy'],
            'NO_PROXY with an address' => ["http_proxy=$away no_proxy=127.0.0.1", 'http://127.0.0.1:2', null],
            'NO_PROXY with a network' => ["http_proxy=$away no_proxy=127.0.0.0/8", 'http://127.0.0.1:2', null],
            'NO_PROXY with another network' => ["http_proxy=$away no_proxy=10.0.0.0/8", 'http://127.0.0.1:2', 'http_proxy'],
            'NO_PROXY with an IPv6 address' => ["http_proxy=$away no_proxy=::1", 'http://[::1]:2', null],
        ];
    }

    /** @dataProvider environments */
    public function testVariableInForceIsNamed(string $variables, string $url, ?string $name): void
    {
        array_map('putenv', explode(' ', $variables));
        $broker = new Broker($url, attempts: 1);
        $calls = [
            static fn () => $broker->publish('a', 1),
            static fn () => $broker->listen('a')->current(),
            static fn () => $broker->listen('a', polling: true)->current(),
        ];
        foreach ($calls as $call) {
            $error = self::caught($call);
            self::assertInstanceOf(Unreachable::class, $error);
            self::assertStringNotContainsString('MostSecret', $error->getMessage());
            if ($name === null) {
                self::assertStringNotContainsStringIgnoringCase('_proxy', $error->getMessage());
            } else {
                self::assertStringContainsString("environment variable $name ", $error->getMessage());
                self::assertStringContainsString('NO_PROXY', $error->getMessage());
            }
        }
    }

    public function testAnswerOfTheProxyNamesTheVariable(): void
    {
        // A stand-in for a proxy that cannot reach the broker, or does not want to.
        $site = new PhpServer(__DIR__ . '/apps/website.php');
        putenv("http_proxy=$site->url");
        foreach (['gateway' => Unavailable::class, 'missing' => UnexpectedAnswer::class, 'page' => UnexpectedAnswer::class] as $path => $class) {
            $broker = new Broker("http://broker.invalid/$path", attempts: 1);
            foreach ([fn () => $broker->publish('a', 1), fn () => $broker->listen('a')->current()] as $call) {
                $error = self::caught($call);
                self::assertInstanceOf($class, $error);
                self::assertStringContainsString('environment variable http_proxy ', $error->getMessage());
                self::assertStringContainsString(substr($site->url, 7), $error->getMessage());
            }
        }
        // For https curl requests a tunnel (CONNECT), which this proxy refuses.
        putenv("https_proxy=$site->url");
        foreach ([fn (Broker $b) => $b->publish('a', 1), fn (Broker $b) => $b->listen('a')->current()] as $call) {
            $error = self::caught(fn () => $call(new Broker('https://broker.invalid', attempts: 1)));
            self::assertInstanceOf(Unreachable::class, $error);
            self::assertStringContainsString('environment variable https_proxy ', $error->getMessage());
        }
    }

    public function testBrokerThatAnswersThroughTheProxyIsNotBlamedOnIt(): void
    {
        $running = new RunningBroker(RunningBroker::secured());
        $relay = new Process([PHP_BINARY, __DIR__ . '/../../../tests/php/proxy.php', (string) $running->port]);
        putenv('http_proxy=http://127.0.0.1:' . $relay->await('/^(\d+)$/m')[1]);
        $error = self::caught(fn () => (new Broker($running->url, 'fwk_other'))->publish('a', 1));
        self::assertSame(401, $error->status);
        self::assertStringNotContainsStringIgnoringCase('_proxy', $error->getMessage());
    }

    public function testVariablesThatAnHttpClientOfTheApplicationMayReadAreNamed(): void
    {
        putenv('HTTPS_PROXY=' . self::AWAY);
        $factory = new Psr17Factory();
        $broker = new Broker('https://broker.invalid', transport: new Psr18Transport(new Client(['timeout' => 5]), $factory, $factory));
        $error = self::caught(fn () => $broker->publish('a', 1));
        self::assertInstanceOf(Unreachable::class, $error);
        self::assertStringContainsString('environment variable HTTPS_PROXY ', $error->getMessage());
        self::assertStringNotContainsString('MostSecret', $error->getMessage());
    }

    private static function caught(callable $call): FanwireException
    {
        try {
            $call();
        } catch (FanwireException $error) {
            return $error;
        }
        self::fail('There was no error.');
    }
}
