<?php

/**
 * Presence, read from the real broker.
 */

declare(strict_types=1);

namespace Fanwire\Tests;

use Fanwire\Exception\BadRequest;
use Fanwire\Exception\Forbidden;
use Fanwire\Exception\Unavailable;
use Fanwire\TokenSigner;
use PHPUnit\Framework\TestCase;

final class PresenceTest extends TestCase
{
    private static RunningBroker $running;

    public static function setUpBeforeClass(): void
    {
        self::$running = new RunningBroker(RunningBroker::secured(
            "[[topic]]\nmatch = \"room.>\"\nsubscribe = \"authenticated\"\npresence = true\n"
        ));
    }

    public function testUserIsOneMemberUntilItsLastConnectionEnds(): void
    {
        $broker = self::$running->client(RunningBroker::KEY);
        self::assertCount(0, $broker->presence('room.a'));
        $first = self::enter('ann', ['name' => 'Ann']);
        $second = self::enter('ann', ['name' => 'Ann']);
        $bob = self::enter('bob', null);
        $there = $broker->presence('room.a');
        self::assertCount(2, $there);
        self::assertFalse($there->more);
        self::assertTrue($there->has('ann') && $there->has('bob') && !$there->has('eve'));
        foreach ($there as $member) {
            self::assertNotSame('', $member->connection);
            self::assertSame($member->user === 'ann' ? ['name' => 'Ann'] : null, $member->info);
        }
        $first->leave('room.a');
        self::assertTrue($broker->presence('room.a')->has('ann'));
        $second->leave('room.a');
        self::assertFalse($broker->presence('room.a')->has('ann'));
        $bob->leave('room.a');
        self::assertCount(0, $broker->presence('room.a'));
    }

    public function testTopicMayContainASlash(): void
    {
        self::assertCount(0, self::$running->client(RunningBroker::KEY)->presence('room.a/presence'));
    }

    public function testTopicWithoutPresenceIsAnError(): void
    {
        $broker = self::$running->client(RunningBroker::KEY);
        try {
            $broker->presence('elsewhere');
            self::fail('It was answered.');
        } catch (Unavailable $error) {
            self::assertStringContainsString('presence = true', $error->getMessage());
        }
        $this->expectException(BadRequest::class);
        $broker->presence('room.*');
    }

    public function testPresenceNeedsThePermissionToSubscribe(): void
    {
        $token = (new TokenSigner(RunningBroker::SECRET))->sign('ann', publish: ['>']);
        $this->expectException(Forbidden::class);
        self::$running->client($token)->presence('elsewhere');
    }

    private static function enter(string $user, mixed $info): PlainSocket
    {
        $socket = new PlainSocket(self::$running->port, (new TokenSigner(RunningBroker::SECRET))->sign($user, info: $info));
        $socket->say(['type' => 'subscribe', 'id' => 1, 'topic' => 'room.a']);
        $socket->await('subscribed');
        return $socket;
    }
}
