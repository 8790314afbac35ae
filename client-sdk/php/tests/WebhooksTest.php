<?php

/**
 * Webhooks of the real broker, and batches with unexpected contents.
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

final class WebhooksTest extends TestCase
{
    private const SECRET = 'hooks of these tests';

    public function testWebhookIsRepeatedUntilTheApplicationAcceptsIt(): void
    {
        $file = sys_get_temp_dir() . '/fanwire-events-' . getmypid();
        @unlink($file);
        $application = new PhpServer(__DIR__ . '/apps/webhooks.php', ['HOOKS_SECRET' => self::SECRET, 'EVENTS' => $file]);
        $running = new RunningBroker(RunningBroker::secured(sprintf(
            "[hooks]\nurl = \"%s/\"\nsecret = \"%s\"\n[webhooks]\nvacated_after = \"50ms\"\n"
            . "events = [\"disconnect\", \"occupied\", \"vacated\", \"join\", \"leave\"]\n"
            . "[[topic]]\nmatch = \">\"\nsubscribe = \"authenticated\"\npresence = true\n",
            $application->url,
            self::SECRET,
        )));
        $token = (new TokenSigner(RunningBroker::SECRET))->sign('ann', info: ['name' => 'Ann']);
        $socket = new PlainSocket($running->port, $token);
        $socket->say(['type' => 'subscribe', 'id' => 1, 'topic' => 'php.events']);
        $socket->await('subscribed');
        $socket->close();
        $application->await('/RuntimeException: not ready/');
        $application->await('/batch attempt [2-9]\d* lost 0/');
        $events = self::events($file, 5);
        unlink($file);
        self::assertSame(['disconnect', 'join', 'leave', 'occupied', 'vacated'], array_keys($events));
        self::assertSame('php.events', $events['occupied']['topic']);
        self::assertSame('php.events', $events['vacated']['topic']);
        self::assertSame('ann', $events['join']['user']);
        self::assertSame(['name' => 'Ann'], $events['leave']['info']);
        self::assertSame('ann', $events['disconnect']['user']);
        self::assertSame('ws', $events['disconnect']['transport']);
        self::assertSame(1000, $events['disconnect']['code']);
        self::assertSame($events['join']['connection'], $events['disconnect']['connection']);
        self::assertLessThanOrEqual($events['disconnect']['timeMs'], $events['disconnect']['connectedMs']);
        self::assertCount(5, array_unique(array_column($events, 'id')));
        self::assertCount(1, array_unique(array_column($events, 'run')));
    }

    public function testEventsReachTheirHandlersInOrder(): void
    {
        $received = [];
        $hooks = (new HookServer(self::SECRET))
            ->onBatch(function (Batch $batch) use (&$received): void {
                $received[] = "run {$batch->run} attempt {$batch->attempt} lost {$batch->lost}";
            })
            ->onOccupied(function (TopicEvent $event) use (&$received): void {
                $received[] = "occupied {$event->topic} {$event->id} {$event->timeMs} {$event->run}";
            })
            ->onVacated(function (TopicEvent $event) use (&$received): void {
                $received[] = "vacated {$event->topic}";
            })
            ->onJoin(function (MemberEvent $event) use (&$received): void {
                $received[] = "join {$event->topic} " . ($event->user ?? 'anonymous') . " {$event->connection}";
            })
            ->onDisconnect(function (DisconnectEvent $event) use (&$received): void {
                $received[] = "gone {$event->user} {$event->code} {$event->reason} " . json_encode($event->info);
            });
        $response = $this->send($hooks, '{"hook":"tell","id":"41","run":"c3","attempt":2,"lost":7,"events":['
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
            'join a anonymous 2a',
            'gone ann 1001 left {"name":"Ann"}',
            'vacated chat.>',
        ], $received);
    }

    public function testFailingHandlerStopsTheBatchAndTheBrokerSendsItAgain(): void
    {
        $received = [];
        $hooks = (new HookServer(self::SECRET))
            ->onOccupied(function (TopicEvent $event) use (&$received): void {
                $received[] = $event->topic;
                if ($event->topic === 'b') {
                    throw new \RuntimeException('the database is down');
                }
            })
            ->onError(function (\Throwable $error) use (&$received): void {
                $received[] = $error->getMessage();
            });
        $events = array_map(static fn ($topic) => ['hook' => 'occupied', 'topic' => $topic], ['a', 'b', 'c']);
        $response = $this->send($hooks, (string) json_encode(['hook' => 'tell', 'events' => $events]));
        self::assertSame(500, $response->status);
        self::assertSame(['a', 'b', 'the database is down'], $received);
        self::assertStringNotContainsString('database', $response->body);
    }

    public function testWrongTypesInABatchAreNoPhpErrors(): void
    {
        $hooks = (new HookServer(self::SECRET))->onDisconnect(function (DisconnectEvent $event): void {
            self::assertSame(['', null, 0], [$event->connection, $event->user, $event->code]);
        });
        foreach (['7', 'null', '[]', '[7,null,[],"x",{"hook":7}]', '[{"hook":"disconnect","user":7,"code":"x"}]'] as $events) {
            self::assertSame(204, $this->send($hooks, "{\"hook\":\"tell\",\"events\":$events,\"run\":[],\"lost\":\"\"}")->status);
        }
    }

    public function testOldSecretIsAcceptedWhileItIsReplaced(): void
    {
        $hooks = new HookServer('the new secret of 16', self::SECRET);
        self::assertSame(204, $this->send($hooks, '{"hook":"tell","events":[]}')->status);
        self::assertSame(204, $this->send($hooks, '{"hook":"tell","events":[]}', 'the new secret of 16')->status);
        self::assertSame(401, $this->send($hooks, '{"hook":"tell","events":[]}', 'quite another secret')->status);
    }

    private function send(HookServer $hooks, string $body, string $secret = self::SECRET): \Fanwire\Hooks\HookResponse
    {
        $time = time();
        return $hooks->handle($body, "t=$time,v1=" . hash_hmac('sha256', "$time.$body", $secret));
    }

    /**
     * Waits until the application has received the given number of kinds of events.
     *
     * @return array<string, array<string, mixed>> the events by kind, in alphabetical order
     */
    private static function events(string $file, int $kinds): array
    {
        $deadline = microtime(true) + 20;
        do {
            usleep(20_000);
            $events = [];
            foreach (file($file, FILE_IGNORE_NEW_LINES) ?: [] as $line) {
                $event = json_decode($line, true);
                $events[$event['hook']] = $event;
            }
        } while (count($events) < $kinds && microtime(true) < $deadline);
        ksort($events);
        return $events;
    }
}
