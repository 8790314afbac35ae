<?php

/**
 * Events told by the real broker, and batches that are read whatever stands in them.
 */

declare(strict_types=1);

namespace Fanwire\Tests;

use Fanwire\HookServer;
use Fanwire\Hooks\Batch;
use Fanwire\Hooks\DisconnectEvent;
use Fanwire\Hooks\MemberEvent;
use Fanwire\Hooks\TopicEvent;
use Fanwire\TokenSigner;
use PHPUnit\Framework\TestCase;

final class TellsTest extends TestCase
{
    private const SECRET = 'hooks of these tests';

    public function testBrokerTellsWhoCameAndWentAgainUntilItIsTaken(): void
    {
        $file = sys_get_temp_dir() . '/fanwire-told-' . getmypid();
        @unlink($file);
        $application = new PhpServer(__DIR__ . '/apps/tells.php', ['HOOKS_SECRET' => self::SECRET, 'TOLD' => $file]);
        $running = new RunningBroker(RunningBroker::secured(sprintf(
            "[hooks]\nurl = \"%s/\"\nsecret = \"%s\"\n[webhooks]\nvacated_after = \"50ms\"\n"
            . "events = [\"disconnect\", \"occupied\", \"vacated\", \"join\", \"leave\"]\n"
            . "[[topic]]\nmatch = \">\"\nsubscribe = \"authenticated\"\npresence = true\n",
            $application->url,
            self::SECRET,
        )));
        $token = (new TokenSigner(RunningBroker::SECRET))->sign('ann', info: ['name' => 'Ann']);
        $socket = new PlainSocket($running->port, $token);
        $socket->say(['type' => 'subscribe', 'id' => 1, 'topic' => 'php.told']);
        $socket->await('subscribed');
        $socket->close();
        $application->await('/RuntimeException: not ready/');
        $application->await('/batch attempt [2-9]\d* lost 0/');
        $told = self::told($file, 5);
        unlink($file);
        self::assertSame(['disconnect', 'join', 'leave', 'occupied', 'vacated'], array_keys($told));
        self::assertSame('php.told', $told['occupied']['topic']);
        self::assertSame('php.told', $told['vacated']['topic']);
        self::assertSame('ann', $told['join']['user']);
        self::assertSame(['name' => 'Ann'], $told['leave']['info']);
        self::assertSame('ann', $told['disconnect']['user']);
        self::assertSame('ws', $told['disconnect']['transport']);
        self::assertSame(1000, $told['disconnect']['code']);
        self::assertSame($told['join']['connection'], $told['disconnect']['connection']);
        self::assertLessThanOrEqual($told['disconnect']['timeMs'], $told['disconnect']['connectedMs']);
        self::assertCount(5, array_unique(array_column($told, 'id')));
        self::assertCount(1, array_unique(array_column($told, 'run')));
    }

    public function testEventsComeInTheirOrderToTheirHandlers(): void
    {
        $heard = [];
        $hooks = (new HookServer(self::SECRET))
            ->onBatch(function (Batch $batch) use (&$heard): void {
                $heard[] = "run {$batch->run} attempt {$batch->attempt} lost {$batch->lost}";
            })
            ->onOccupied(function (TopicEvent $event) use (&$heard): void {
                $heard[] = "occupied {$event->topic} {$event->id} {$event->timeMs} {$event->run}";
            })
            ->onVacated(function (TopicEvent $event) use (&$heard): void {
                $heard[] = "vacated {$event->topic}";
            })
            ->onJoin(function (MemberEvent $event) use (&$heard): void {
                $heard[] = "join {$event->topic} " . ($event->user ?? 'nobody') . " {$event->connection}";
            })
            ->onDisconnect(function (DisconnectEvent $event) use (&$heard): void {
                $heard[] = "gone {$event->user} {$event->code} {$event->reason} " . json_encode($event->info);
            });
        $response = $this->tell($hooks, '{"hook":"tell","id":"41","run":"c3","attempt":2,"lost":7,"events":['
            . '{"hook":"occupied","id":"1","ts":1767225600000,"topic":"chat.>"},'
            . '{"hook":"join","id":"2","ts":1,"topic":"a","connection":"2a"},'
            . '{"hook":"leave","id":"3","ts":1,"topic":"a","user":"ann","connection":"2a"},'
            . '{"hook":"newer","id":"4"},'
            . '{"hook":"disconnect","id":"5","ts":1,"user":"ann","connection":"2a","transport":"ws","connected_ts":0,'
            . '"code":1001,"reason":"left","info":{"name":"Ann"}},'
            . '{"hook":"vacated","id":"6","ts":2,"topic":"chat.>"}]}');
        self::assertSame(204, $response->status);
        self::assertSame('', $response->body);
        self::assertSame([
            'run c3 attempt 2 lost 7',
            'occupied chat.> 1 1767225600000 c3',
            'join a nobody 2a',
            'gone ann 1001 left {"name":"Ann"}',
            'vacated chat.>',
        ], $heard);
    }

    public function testHandlerThatFailsIsToldAgainAndThoseAfterItAreNotReached(): void
    {
        $heard = [];
        $hooks = (new HookServer(self::SECRET))
            ->onOccupied(function (TopicEvent $event) use (&$heard): void {
                $heard[] = $event->topic;
                if ($event->topic === 'b') {
                    throw new \RuntimeException('the database is away');
                }
            })
            ->onError(function (\Throwable $error) use (&$heard): void {
                $heard[] = $error->getMessage();
            });
        $events = array_map(static fn ($topic) => ['hook' => 'occupied', 'topic' => $topic], ['a', 'b', 'c']);
        $response = $this->tell($hooks, (string) json_encode(['hook' => 'tell', 'events' => $events]));
        self::assertSame(500, $response->status);
        self::assertSame(['a', 'b', 'the database is away'], $heard);
        self::assertStringNotContainsString('database', $response->body);
    }

    public function testBatchOfNonsenseIsNoErrorOfPhp(): void
    {
        $hooks = (new HookServer(self::SECRET))->onDisconnect(function (DisconnectEvent $event): void {
            self::assertSame(['', null, 0], [$event->connection, $event->user, $event->code]);
        });
        foreach (['7', 'null', '[]', '[7,null,[],"x",{"hook":7}]', '[{"hook":"disconnect","user":7,"code":"x"}]'] as $events) {
            self::assertSame(204, $this->tell($hooks, "{\"hook\":\"tell\",\"events\":$events,\"run\":[],\"lost\":\"\"}")->status);
        }
    }

    public function testOldSecretIsTakenWhileItIsChanged(): void
    {
        $hooks = new HookServer('the new secret of 16', self::SECRET);
        self::assertSame(204, $this->tell($hooks, '{"hook":"tell","events":[]}')->status);
        self::assertSame(204, $this->tell($hooks, '{"hook":"tell","events":[]}', 'the new secret of 16')->status);
        self::assertSame(401, $this->tell($hooks, '{"hook":"tell","events":[]}', 'quite another secret')->status);
    }

    private function tell(HookServer $hooks, string $body, string $secret = self::SECRET): \Fanwire\Hooks\HookResponse
    {
        $time = time();
        return $hooks->handle($body, "t=$time,v1=" . hash_hmac('sha256', "$time.$body", $secret));
    }

    /**
     * Waits until so many kinds of events have been written down.
     *
     * @return array<string, array<string, mixed>> by their hooks, in alphabetical order
     */
    private static function told(string $file, int $kinds): array
    {
        $deadline = microtime(true) + 20;
        do {
            usleep(20_000);
            $told = [];
            foreach (file($file, FILE_IGNORE_NEW_LINES) ?: [] as $line) {
                $event = json_decode($line, true);
                $told[$event['hook']] = $event;
            }
        } while (count($told) < $kinds && microtime(true) < $deadline);
        ksort($told);
        return $told;
    }
}
