<?php

/**
 * Seeing sessions of the real broker, and ending them.
 */

declare(strict_types=1);

namespace Fanwire\Tests;

use Fanwire\Binary;
use Fanwire\Broker;
use Fanwire\Exception\BadRequest;
use Fanwire\Exception\Forbidden;
use Fanwire\Exception\Unauthorized;
use Fanwire\Session;
use Fanwire\Sessions;
use Fanwire\TokenSigner;
use PHPUnit\Framework\TestCase;

final class SessionsTest extends TestCase
{
    private static RunningBroker $running;
    private Sessions $sessions;

    public static function setUpBeforeClass(): void
    {
        self::$running = new RunningBroker(RunningBroker::secured());
    }

    protected function setUp(): void
    {
        $this->sessions = self::$running->client(RunningBroker::KEY)->sessions();
    }

    public function testSessionsAreListedPageByPageAndFound(): void
    {
        $names = [];
        $sockets = [];
        for ($number = 0; $number < 5; $number++) {
            [$socket, $name] = self::connect('ann', 'listed.a');
            $sockets[] = $socket;
            $names[] = $name;
        }
        $listed = array_map(static fn (Session $one) => $one->connection, [...$this->sessions->all(limit: 2)]);
        self::assertSame([], array_diff($names, $listed));
        self::assertSame($listed, array_unique($listed));
        self::assertGreaterThanOrEqual(5, $this->sessions->count());

        $session = $this->sessions->find($names[0]);
        self::assertNotNull($session);
        self::assertSame('ann', $session->user);
        self::assertSame('tests', $session->name);
        self::assertSame('ws', $session->transport);
        self::assertSame(['listed.a'], $session->topics);
        self::assertSame(1, $session->subscriptions);
        self::assertEqualsWithDelta(microtime(true) * 1000, $session->openedMs, 60_000);
        self::assertNull($this->sessions->find('ffffffffff'));
        self::assertNull($this->sessions->find('no such/name'));
        self::assertCount(5, $sockets);
    }

    public function testSessionIsClosedWithAReason(): void
    {
        [$socket, $name] = self::connect('bob', 'ended.a');
        self::assertTrue($this->sessions->disconnect($name, 'Your account was closed.', 4001));
        $closing = $socket->await('closing');
        self::assertSame([4001, 'Your account was closed.', false], [
            $closing['code'], $closing['reason'], $closing['reconnect'],
        ]);
        self::assertFalse($this->sessions->disconnect('ffffffffff'));
    }

    public function testAllSessionsOfAUserAreClosed(): void
    {
        $user = 'kim/Käse "x"';
        [$one] = self::connect($user, 'ended.b');
        [$two] = self::connect($user, 'ended.b');
        self::connect('another', 'ended.b');
        self::assertSame(2, $this->sessions->disconnectUser($user, reconnect: true));
        foreach ([$one, $two] as $socket) {
            self::assertSame([4440, true], array_values(array_intersect_key(
                $socket->await('closing'),
                ['code' => 0, 'reconnect' => 0],
            )));
        }
        self::assertSame(0, $this->sessions->disconnectUser('absent'));
    }

    public function testPayloadIsSentToASessionAndToAUser(): void
    {
        [$one, $name] = self::connect('sue', 'said.a');
        [$two] = self::connect('sue', 'said.a');
        self::assertTrue($this->sessions->send($name, ['order' => 7]));
        self::assertSame(['$direct', ['order' => 7]], self::topicAndData($one->await('message')));
        self::assertSame(2, $this->sessions->sendToUser('sue', new Binary("\xff"))->sessions);
        self::assertSame('/w==', $one->await('message')['data_base64']);
        self::assertSame('/w==', $two->await('message')['data_base64'], 'A payload for one session does not reach the other.');
        self::assertFalse($this->sessions->send('ffffffffff', 'x'));
        self::assertSame(0, $this->sessions->sendToUser('absent', 'x')->sessions);
    }

    public function testSubscriptionsBeginAndEndForASessionAndForAUser(): void
    {
        [$one, $name] = self::connect('tom', 'moved.a');
        [$two] = self::connect('tom', 'moved.a');
        $broker = self::$running->client(RunningBroker::KEY);
        $broker->publish('moved.b', 'held');
        self::assertTrue($this->sessions->subscribe($name, 'moved.b', last: 1));
        self::assertSame(['moved.b', 'held'], self::topicAndData($one->await('message')));
        $reached = $this->sessions->subscribeUser('tom', 'moved.c', since: new \DateTimeImmutable('-1 minute'));
        self::assertSame([2, []], [$reached->sessions, $reached->failed]);
        self::assertSame(2, $broker->publish('moved.c', 'live')->subscribers);
        self::assertSame(['moved.c', 'live'], self::topicAndData($two->await('message')));
        self::assertTrue($this->sessions->unsubscribe($name, 'moved.b', 'You have left the room.'));
        self::assertSame('You have left the room.', $one->await('unsubscribed')['reason']);
        self::assertSame(2, $this->sessions->unsubscribeUser('tom', 'moved.c')->sessions);
        self::assertSame(0, $broker->publish('moved.c', 'late')->subscribers);
        self::assertFalse($this->sessions->subscribe('ffffffffff', 'moved.b'));
        $this->expectException(BadRequest::class);
        $this->sessions->subscribeUser('tom', 'two words');
    }

    public function testHistoryIsClearedAndTheOffsetsContinue(): void
    {
        $broker = self::$running->client(RunningBroker::KEY);
        $first = $broker->publish('cleared.a', 1)->cursor();
        $second = $broker->publish('cleared.a', 2);
        self::assertSame($second->cursor(), $broker->clearHistory('cleared.a'));
        self::assertCount(0, $broker->history('cleared.a', 'earliest'));
        self::assertTrue($broker->history('cleared.a', $first)->gap);
        self::assertFalse($broker->history('cleared.a', $second->cursor())->gap);
        self::assertGreaterThan($second->offset, $broker->publish('cleared.a', 3)->offset);
        $this->expectException(BadRequest::class);
        $broker->clearHistory('two words');
    }

    public function testServerApiNeedsAnAdminKey(): void
    {
        $token = (new TokenSigner(RunningBroker::SECRET))->sign('ann', subscribe: ['>'], publish: ['>']);
        foreach ([[null, Unauthorized::class], [$token, Forbidden::class]] as [$key, $class]) {
            try {
                (new Broker(self::$running->url, $key))->sessions()->count();
                self::fail('It was allowed.');
            } catch (Unauthorized | Forbidden $error) {
                self::assertInstanceOf($class, $error);
            }
        }
    }

    public function testInvalidArgumentsAreRefused(): void
    {
        $wishes = [
            fn () => $this->sessions->find(''),
            fn () => $this->sessions->disconnectUser('..'),
            fn () => $this->sessions->disconnectUser('ann', code: 1000),
            fn () => $this->sessions->disconnectUser('ann', reason: str_repeat('a', 2000)),
            fn () => [...$this->sessions->all(limit: 0)],
        ];
        foreach ($wishes as $wish) {
            try {
                $wish();
                self::fail('It was accepted.');
            } catch (BadRequest $error) {
                self::assertNotSame('', $error->getMessage());
            }
        }
    }

    /**
     * @param array<string, mixed> $frame
     * @return array{string, mixed}
     */
    private static function topicAndData(array $frame): array
    {
        return [$frame['topic'], $frame['data']];
    }

    /** @return array{PlainSocket, string} a session and the name of its connection */
    private static function connect(string $user, string $topic): array
    {
        $token = (new TokenSigner(RunningBroker::SECRET))->sign($user, subscribe: ['>']);
        $socket = new PlainSocket(self::$running->port);
        $socket->say(['type' => 'connect', 'id' => 1, 'token' => $token, 'name' => 'tests']);
        $name = $socket->await('connected')['connection'];
        $socket->say(['type' => 'subscribe', 'id' => 2, 'topic' => $topic]);
        $socket->await('subscribed');
        return [$socket, $name];
    }
}
