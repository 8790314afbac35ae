<?php

/**
 * Subscriptions to the real broker, over broken connections and restarts, by event stream and by long polling.
 */

declare(strict_types=1);

namespace Fanwire\Tests;

use Fanwire\Binary;
use Fanwire\Broker;
use Fanwire\Exception\BadRequest;
use Fanwire\Exception\Ended;
use Fanwire\Exception\FanwireException;
use Fanwire\Exception\Forbidden;
use Fanwire\Exception\Unauthorized;
use Fanwire\Exception\UnexpectedAnswer;
use Fanwire\Listening\EventParser;
use Fanwire\TokenSigner;
use PHPUnit\Framework\TestCase;

final class ListeningTest extends TestCase
{
    /** The maximum duration of one subscription in a test, in seconds. */
    private const PATIENCE = 30.0;

    /** @return array<string, array{bool}> */
    public function ways(): array
    {
        return ['event stream' => [false], 'long polling' => [true]];
    }

    /** @dataProvider ways */
    public function testHeldAndLiveMessagesComeOnceAndInOrder(bool $polling): void
    {
        $running = new RunningBroker();
        $broker = $running->client();
        $payloads = ['text', new Binary("\0\xff"), ['n' => 1], null, "two\nlines", str_repeat('ä', 200_000)];
        foreach ($payloads as $payload) {
            $broker->publish('php.listen', $payload);
        }
        $received = [];
        foreach ($broker->listen('php.listen', 'earliest', polling: $polling) as $message) {
            $received[] = $message->data;
            self::assertSame('php.listen', $message->topic);
            self::assertFalse($message->gap);
            self::assertNotNull($message->time());
            if (count($received) === count($payloads)) {
                $broker->publish('php.listen', 'live');
            }
            if ($message->data === 'live') {
                break;
            }
        }
        self::assertEquals([...$payloads, 'live'], $received);
    }

    /** @dataProvider ways */
    public function testListeningBeginsNowAndContinuesAtACursor(bool $polling): void
    {
        $running = new RunningBroker();
        $broker = $running->client();
        $broker->publish('php.now', 'before');
        // Polling answers after each poll; what is published meanwhile comes from elsewhere.
        $publisher = new Process([PHP_BINARY, __DIR__ . '/apps/publish-later.php', $running->url, 'php.now']);
        $cursor = null;
        foreach ($broker->listen('php.now', polling: $polling) as $message) {
            self::assertSame('later', $message->data['text']);
            $cursor = $message->cursor;
            break;
        }
        $publisher->end(SIGKILL);
        $last = $broker->publish('php.now', 'the last');
        $since = $broker->history('php.now', $cursor);
        foreach ($broker->listen('php.now', $cursor, polling: $polling) as $message) {
            self::assertEquals($since->messages[0]->data, $message->data);
            break;
        }
        self::assertSame($last->cursor(), $since->cursor);
    }

    /** @dataProvider ways */
    public function testManyTopicsShareOneCursor(bool $polling): void
    {
        $running = new RunningBroker();
        $broker = $running->client();
        $broker->publish('php.a', 1);
        $broker->publish('php.b', 2);
        $received = [];
        $cursor = null;
        foreach ($broker->listen(['php.a', 'php.b'], 'earliest', polling: $polling) as $message) {
            $received[$message->topic] = $message->data;
            $cursor = $message->cursor ?? $cursor;
            if (count($received) === 2) {
                break;
            }
        }
        self::assertSame(['php.a' => 1, 'php.b' => 2], $received);
        $broker->publish('php.b', 3);
        foreach ($broker->listen(['php.a', 'php.b'], $cursor, polling: $polling) as $message) {
            self::assertSame(3, $message->data);
            break;
        }
    }

    public function testPatternsReceiveLiveMessages(): void
    {
        $running = new RunningBroker();
        $broker = $running->client();
        $published = false;
        $received = [];
        $until = static function () use ($broker, &$published): bool {
            // A message that is published before the stream is open has no subscriber.
            if (!$published && $broker->publish('php.x.a', 1)->subscribers === 1) {
                $broker->publish('php.y.b', 2);
                $published = true;
            }
            return false;
        };
        foreach ($broker->listen('php.*.>', until: $until) as $message) {
            $received[] = "{$message->topic} {$message->data}";
            if (count($received) === 2) {
                break;
            }
        }
        self::assertSame(['php.x.a 1', 'php.y.b 2'], $received);
        $this->expectException(BadRequest::class);
        $broker->listen('php.*', polling: true);
    }

    /** @dataProvider ways */
    public function testUntilEndsTheListening(bool $polling): void
    {
        $running = new RunningBroker();
        $broker = $running->client();
        $calls = 0;
        $until = static function () use (&$calls): bool {
            return ++$calls >= 2;
        };
        // A poll is held for as long as nothing comes; with something held there is an answer at once.
        $broker->publish('php.until', 1);
        $received = iterator_to_array($broker->listen('php.until', 'earliest', until: $until, polling: $polling));
        self::assertLessThanOrEqual(1, count($received));
        self::assertSame(2, $calls);
    }

    public function testNothingIsLostOrDoubledWhenConnectionsAreCut(): void
    {
        $running = new RunningBroker("[[topic]]\nmatch = \">\"\nhistory = { messages = 1000 }\n");
        $proxy = new Process([PHP_BINARY, __DIR__ . '/../../../tests/php/proxy.php', (string) $running->port]);
        $port = (int) $proxy->await('/^(\d+)$/m')[1];
        $direct = $running->client();
        $through = new Broker("http://127.0.0.1:$port");
        $next = 1;
        $troubles = 0;
        $received = [];
        $until = static function () use (&$next, $direct, $proxy): bool {
            if ($next <= 200) {
                $direct->publish('php.cut', $next);
                // The proxy cuts at once and in the middle of a line by turns.
                if ($next % 25 === 10) {
                    $proxy->signal(SIGUSR1);
                }
                $next++;
            }
            return false;
        };
        $onTrouble = static function (string $trouble, float $seconds) use (&$troubles): void {
            $troubles++;
            self::assertNotSame('', $trouble);
            self::assertLessThanOrEqual(20.0, $seconds);
        };
        $onGap = static fn () => self::fail('A gap was reported although no message is missing.');
        $end = microtime(true) + self::PATIENCE;
        foreach ($through->listen('php.cut', 'earliest', $until, $onGap, $onTrouble) as $message) {
            $received[] = $message->data;
            self::assertLessThan($end, microtime(true), 'It takes too long.');
            if ($message->data === 200) {
                break;
            }
        }
        self::assertSame(range(1, 200), $received);
        self::assertGreaterThanOrEqual(4, $troubles);
    }

    public function testListeningContinuesAfterARestartAndReportsTheGap(): void
    {
        $running = new RunningBroker();
        $broker = $running->client();
        $broker->publish('php.restart', 'before');
        $troubles = [];
        $gaps = 0;
        $onTrouble = static function (string $trouble) use (&$troubles, &$running): void {
            $troubles[] = $trouble;
            if (count($troubles) === 2) {
                $running = new RunningBroker(port: $running->port);
                $running->client()->publish('php.restart', 'after');
            }
        };
        $onGap = static function (?string $topic) use (&$gaps): void {
            self::assertSame('php.restart', $topic);
            $gaps++;
        };
        $received = [];
        foreach ($broker->listen('php.restart', 'earliest', null, $onGap, $onTrouble) as $message) {
            $received[] = [$message->data, $message->gap];
            if ($message->data === 'after') {
                break;
            }
            $running->stop();
        }
        self::assertSame([['before', false], ['after', true]], $received);
        self::assertSame(1, $gaps);
        self::assertStringContainsString('shutting down', $troubles[0]);
        self::assertStringContainsString('Is it running', $troubles[1]);
    }

    public function testClosingEventSaysWhetherToReconnect(): void
    {
        $site = new PhpServer(__DIR__ . '/apps/closing-stream.php');
        $expected = ['none' => Ended::class, 'token_expired' => Unauthorized::class, 'forbidden' => Forbidden::class];
        foreach ($expected as $error => $class) {
            $troubles = [];
            $onTrouble = static function (string $trouble, float $seconds) use (&$troubles): void {
                $troubles[] = [$trouble, $seconds];
            };
            try {
                iterator_to_array((new Broker("$site->url/$error"))->listen('a', onTrouble: $onTrouble));
                self::fail('It went on.');
            } catch (FanwireException $caught) {
                self::assertInstanceOf($class, $caught);
                self::assertStringContainsString('an operator has ended it', $caught->getMessage());
            }
            self::assertSame([['The broker closes the connection: the broker is shutting down.', 0.1]], $troubles);
        }
    }

    public function testWaitThatTheBrokerRequestsIsBounded(): void
    {
        $site = new PhpServer(__DIR__ . '/apps/short-stream.php');
        foreach (['0' => 0.1, '150' => 0.15, '10000000' => 300.0] as $milliseconds => $expected) {
            $waits = [];
            $onTrouble = static function (string $trouble, float $seconds) use (&$waits): void {
                $waits[] = $seconds;
            };
            // The listening ends before it sleeps.
            $until = static function () use (&$waits): bool {
                return $waits !== [];
            };
            iterator_to_array((new Broker("$site->url/$milliseconds"))->listen('a', until: $until, onTrouble: $onTrouble));
            self::assertSame([$expected], $waits);
        }
    }

    public function testPatternReportsAGapAfterAReconnect(): void
    {
        $running = new RunningBroker();
        $proxy = new Process([PHP_BINARY, __DIR__ . '/../../../tests/php/proxy.php', (string) $running->port]);
        $port = (int) $proxy->await('/^(\d+)$/m')[1];
        $gaps = 0;
        $isCut = false;
        $publisher = $running->client();
        $until = static function () use ($publisher): bool {
            $publisher->publish('php.p.a', 'ping');
            return false;
        };
        $onGap = static function (?string $topic) use (&$gaps): void {
            self::assertSame('php.p.*', $topic);
            $gaps++;
        };
        $broker = new Broker("http://127.0.0.1:$port");
        foreach ($broker->listen('php.p.*', null, $until, $onGap, static fn () => null) as $message) {
            self::assertSame($gaps === 1, $message->gap);
            if ($message->gap) {
                break;
            }
            if (!$isCut) {
                $proxy->signal(SIGUSR1);
                $isCut = true;
            }
        }
        self::assertSame(1, $gaps);
    }

    public function testEndOfTheTokenEndsTheListening(): void
    {
        $running = new RunningBroker(RunningBroker::secured());
        $token = (new TokenSigner(RunningBroker::SECRET))->sign('ann', subscribe: ['a'], lifetime: 1);
        try {
            iterator_to_array($running->client($token)->listen('a'));
            self::fail('It went on.');
        } catch (Unauthorized $error) {
            self::assertSame('token_expired', $error->errorCode);
        }
    }

    public function testEventsAreReadHoweverTheyAreCut(): void
    {
        $text = ": hi\r\nretry: 10\n\nid: 1\ndata: a\ndata:  b\n\nevent: gap\nid: 2\ndata: {}\n\nid\ndata\nnew: x\n\ndata: cut";
        $expected = (new EventParser())->feed($text);
        self::assertSame(["a\n b", '{}', ''], array_column(array_slice($expected, 1), 'data'));
        self::assertSame(['1', '2', ''], array_column(array_slice($expected, 1), 'id'));
        self::assertSame(['', 'gap', ''], array_column(array_slice($expected, 1), 'event'));
        for ($size = 1; $size < 12; $size++) {
            $parser = new EventParser();
            $events = [];
            foreach (str_split($text, $size) as $part) {
                $events = [...$events, ...$parser->feed($part)];
            }
            self::assertSame($expected, $events, "cut every $size bytes");
        }
    }

    public function testStreamOfAnotherServerIsDetected(): void
    {
        $site = new PhpServer(__DIR__ . '/apps/wrong-stream.php');
        $this->expectException(UnexpectedAnswer::class);
        iterator_to_array((new Broker($site->url))->listen('a'));
    }
}
