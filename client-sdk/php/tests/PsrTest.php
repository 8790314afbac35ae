<?php

/**
 * The package inside an application with PSR-7 and PSR-18: Debian's Guzzle and Nyholm.
 */

declare(strict_types=1);

namespace Fanwire\Tests;

use Fanwire\Binary;
use Fanwire\Broker;
use Fanwire\Exception\Unauthorized;
use Fanwire\Exception\Unreachable;
use Fanwire\HookServer;
use Fanwire\Http\Psr18Transport;
use GuzzleHttp\Client;
use Nyholm\Psr7\Factory\Psr17Factory;
use PHPUnit\Framework\TestCase;

final class PsrTest extends TestCase
{
    protected function setUp(): void
    {
        if (!class_exists(Client::class) || !class_exists(Psr17Factory::class)) {
            self::fail('There is no PSR-18 client here: apt-get install php-guzzlehttp-guzzle php-nyholm-psr7');
        }
    }

    public function testCallsUseTheHttpClientOfTheApplication(): void
    {
        $running = new RunningBroker(RunningBroker::secured());
        $broker = new Broker($running->url, RunningBroker::KEY, transport: self::transport());
        self::assertSame(1, $broker->publish('php.psr', new Binary("\xff"))->offset);
        $broker->publish('php.psr', ['n' => 2]);
        self::assertEquals(new Binary("\xff"), $broker->history('php.psr')->messages[0]->data);
        $received = [];
        foreach ($broker->listen('php.psr', 'earliest') as $message) {
            $received[] = $message->data;
            if (count($received) === 2) {
                break;
            }
        }
        self::assertEquals([new Binary("\xff"), ['n' => 2]], $received);
        $this->expectException(Unauthorized::class);
        (new Broker($running->url, 'fwk_other', transport: self::transport()))->history('php.psr');
    }

    public function testErrorsOfTheHttpClientDoNotShowTheKey(): void
    {
        try {
            (new Broker('http://127.0.0.1:1', 'fwk_MostSecret', transport: self::transport()))->publish('a', 1);
            self::fail('It was sent.');
        } catch (Unreachable $error) {
            self::assertNull($error->getPrevious());
            self::assertStringNotContainsString('MostSecret', $error . print_r($error, true));
        }
    }

    public function testCalloutIsAnsweredFromAPsr7Request(): void
    {
        $factory = new Psr17Factory();
        $body = '{"hook":"connect","id":"1","transport":"ws"}';
        $signature = 't=' . time() . ',v1=' . hash_hmac('sha256', time() . ".$body", 'hooks of these tests');
        $hooks = (new HookServer('hooks of these tests'))->onConnect(fn ($callout) => $callout->allow(user: $callout->transport));
        $request = $factory->createServerRequest('POST', '/hooks')->withBody($factory->createStream($body));
        $response = $hooks->handlePsr($request->withHeader('Fanwire-Signature', $signature), $factory);
        self::assertSame(200, $response->getStatusCode());
        self::assertSame('application/json', $response->getHeaderLine('Content-Type'));
        self::assertSame('{"allow":true,"user":"ws"}', (string) $response->getBody());
        self::assertSame(401, $hooks->handlePsr($request, $factory)->getStatusCode());
    }

    private static function transport(): Psr18Transport
    {
        return new Psr18Transport(new Client(['timeout' => 10]), new Psr17Factory(), new Psr17Factory());
    }
}
