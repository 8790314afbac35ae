<?php

/**
 * A Broker after pcntl_fork, clone and serialize: each process and each copy has a connection of its own.
 */

declare(strict_types=1);

namespace Fanwire\Tests;

use Fanwire\Broker;
use Fanwire\Exception\BadConfiguration;
use Fanwire\Http\CurlTransport;
use Fanwire\Http\Psr18Transport;
use GuzzleHttp\Client;
use Nyholm\Psr7\Factory\Psr17Factory;
use PHPUnit\Framework\TestCase;

final class ForkTest extends TestCase
{
    private static Process $standIn;
    private static string $url;

    public static function setUpBeforeClass(): void
    {
        self::$standIn = new Process([PHP_BINARY, __DIR__ . '/apps/numbered-connections.php']);
        self::$url = 'http://127.0.0.1:' . self::$standIn->await('/^(\d+)$/m')[1];
    }

    public static function tearDownAfterClass(): void
    {
        self::$standIn->end(SIGKILL);
    }

    public function testChildDoesNotUseTheConnectionOfItsParent(): void
    {
        $broker = new Broker(self::$url);
        $number = $broker->publish('a', 1)->offset;
        self::assertSame($number, $broker->publish('a', 2)->offset, 'One process keeps its connection.');
        [$child, $again, $grandchild] = self::inChild(static fn (): array => [
            $broker->publish('a', 3)->offset,
            $broker->publish('a', 4)->offset,
            self::inChild(static fn (): array => [$broker->publish('a', 5)->offset])[0],
        ]);
        self::assertNotSame($number, $child);
        self::assertSame($child, $again, 'The child keeps its own connection.');
        self::assertNotContains($grandchild, [$number, $child]);
        self::assertSame($number, $broker->publish('a', 6)->offset, 'The end of the child does not end it.');
    }

    public function testCopiesHaveConnectionsOfTheirOwn(): void
    {
        $transport = new CurlTransport();
        $numbers = [];
        $broker = new Broker(self::$url, transport: $transport);
        $numbers[] = $broker->publish('a', 1)->offset;
        $numbers[] = (new Broker(self::$url, transport: clone $transport))->publish('a', 2)->offset;
        $numbers[] = unserialize(serialize($broker))->publish('a', 3)->offset;
        self::assertSame($numbers, array_unique($numbers));
        self::assertSame($numbers[0], $broker->publish('a', 4)->offset);
        self::assertSame($numbers[0], (clone $broker)->publish('a', 5)->offset, 'A clone of a Broker shares its transport.');
    }

    public function testBrokerWithAKeyIsNotSerialized(): void
    {
        $this->expectException(\LogicException::class);
        $this->expectExceptionMessage('make the object anew from your configuration');
        serialize(new Broker(self::$url, 'fwk_secret'));
    }

    public function testForkedReadersReceiveWhatTheyAskedFor(): void
    {
        $running = new RunningBroker();
        $readers = new Process([PHP_BINARY, __DIR__ . '/apps/forked-readers.php', $running->url]);
        self::assertSame(['60', '0', '8'], array_slice($readers->await('/right (\d+), wrong (\d+), .* (\d+)/'), 1), $readers->said());
    }

    /** @return array<string, array{string}> */
    public function ways(): array
    {
        return ['event stream' => ['stream'], 'long polling' => ['poll']];
    }

    /** @dataProvider ways */
    public function testListeningContinuesInBothProcesses(string $way): void
    {
        $running = new RunningBroker();
        $listeners = new Process([PHP_BINARY, __DIR__ . '/apps/forked-listeners.php', $running->url, $way]);
        $listeners->await('/the child ended with 0, the parent had 0 troubles/');
        $all = 'begin ' . implode(' ', range(1, 50)) . ' end';
        self::assertStringContainsString("parent: $all\n", $listeners->said());
        self::assertStringContainsString("child: $all\n", $listeners->said());
    }

    public function testHttpClientOfTheApplicationIsMadeAnewInTheChild(): void
    {
        $factory = new Psr17Factory();
        $made = 0;
        $make = static function () use (&$made): Client {
            $made++;
            return new Client(['timeout' => 10]);
        };
        $broker = new Broker(self::$url, transport: new Psr18Transport($make, $factory, $factory));
        $number = $broker->publish('a', 1)->offset;
        self::assertSame([$number, 1], [$broker->publish('a', 2)->offset, $made]);
        $child = self::inChild(static fn (): array => [$broker->publish('a', 3)->offset])[0];
        self::assertNotSame($number, $child);
        self::assertSame($number, $broker->publish('a', 4)->offset);
    }

    public function testHttpClientThatMayShareItsConnectionIsRefusedInTheChild(): void
    {
        $factory = new Psr17Factory();
        $broker = new Broker(self::$url, transport: new Psr18Transport(new Client(['timeout' => 10]), $factory, $factory));
        $broker->publish('a', 1);
        $message = self::inChild(static function () use ($broker): array {
            try {
                return [$broker->publish('a', 2)->offset];
            } catch (BadConfiguration $error) {
                return [$error->errorCode, $error->getMessage()];
            }
        });
        self::assertSame('forked', $message[0]);
        self::assertStringContainsString('a function that makes the client', $message[1]);
    }

    /**
     * Runs a function in a forked process.
     *
     * @param \Closure(): array<int, mixed> $work
     * @return array<int, mixed> what it returned
     */
    private static function inChild(\Closure $work): array
    {
        [$ours, $theirs] = stream_socket_pair(STREAM_PF_UNIX, STREAM_SOCK_STREAM, 0);
        $pid = pcntl_fork();
        if ($pid === 0) {
            fclose($ours);
            try {
                fwrite($theirs, json_encode($work(), JSON_THROW_ON_ERROR));
            } finally {
                fclose($theirs);
                // Ends without the shutdown functions and destructors of the test runner.
                posix_kill(posix_getpid(), SIGKILL);
            }
        }
        fclose($theirs);
        $result = (array) json_decode((string) stream_get_contents($ours), true);
        pcntl_waitpid($pid, $status);
        return $result;
    }
}
