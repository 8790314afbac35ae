<?php

/**
 * Reading back from the real broker: pages both ways, places, gaps.
 */

declare(strict_types=1);

namespace Fanwire\Tests;

use Fanwire\Broker;
use Fanwire\Exception\BadRequest;
use Fanwire\Exception\HistoryOff;
use Fanwire\Publication;
use PHPUnit\Framework\TestCase;

final class HistoryTest extends TestCase
{
    private const CONFIGURATION = "[[topic]]\nmatch = \"off.>\"\nhistory = false\n"
        . "[[topic]]\nmatch = \"short.>\"\nhistory = { messages = 3 }\n";

    private static RunningBroker $running;
    private Broker $broker;

    public static function setUpBeforeClass(): void
    {
        self::$running = new RunningBroker(self::CONFIGURATION);
    }

    protected function setUp(): void
    {
        $this->broker = self::$running->client();
    }

    public function testPagesGoBothWaysAndMeet(): void
    {
        $this->fill('php.pages', 25);
        $sizes = [];
        $forward = [];
        foreach ($this->broker->pages('php.pages', limit: 10) as $page) {
            $sizes[] = count($page);
            self::assertFalse($page->gap);
            foreach ($page as $message) {
                $forward[] = $message->data;
            }
        }
        self::assertSame([10, 10, 5], $sizes);
        self::assertSame(range(1, 25), $forward);
        $backward = [];
        foreach ($this->broker->pages('php.pages', limit: 7, reverse: true) as $page) {
            foreach ($page as $message) {
                $backward[] = $message->data;
            }
        }
        self::assertSame(range(25, 1), $backward);
    }

    public function testCursorAndMomentAndAgeArePlaces(): void
    {
        $this->fill('php.places', 3);
        $newest = $this->broker->history('php.places');
        self::assertCount(3, $newest);
        self::assertFalse($newest->more);
        self::assertCount(0, $this->broker->history('php.places', $newest->cursor));
        $second = $newest->messages[1];
        self::assertSame([3], $this->data($this->broker->history('php.places', $second->cursor)));
        self::assertSame([1], $this->data($this->broker->history('php.places', $second->cursor, reverse: true)));
        $moment = $second->time();
        self::assertNotNull($moment);
        self::assertSame($second->timeMs, (int) $moment->format('Uv'));
        self::assertContains(2, $this->data($this->broker->history('php.places', $moment)));
        $elsewhere = $moment->setTimezone(new \DateTimeZone('+05:30'));
        self::assertContains(2, $this->data($this->broker->history('php.places', $elsewhere)));
        self::assertCount(3, $this->broker->history('php.places', '10m'));
        self::assertCount(0, $this->broker->history('php.places', new \DateTimeImmutable('+1 minute')));
        self::assertSame([1], $this->data($this->broker->history('php.places', 'earliest', limit: 1)));
        self::assertTrue($this->broker->history('php.places', 'earliest', limit: 1)->more);
    }

    public function testMessagesThatAreNoLongerHeldAreAGap(): void
    {
        $this->fill('short.a', 1);
        $first = $this->broker->history('short.a')->cursor;
        $this->fill('short.a', 5);
        $page = $this->broker->history('short.a', $first);
        self::assertTrue($page->gap);
        self::assertSame([3, 4, 5], $this->data($page));
    }

    public function testTopicWithoutHistorySaysSo(): void
    {
        $this->expectException(HistoryOff::class);
        $this->expectExceptionMessage("'off.a' keeps no history");
        $this->broker->history('off.a');
    }

    public function testBadPlaceIsExplained(): void
    {
        $this->expectException(BadRequest::class);
        $this->expectExceptionMessage('a cursor as the broker gave it');
        $this->broker->history('php.places', 'yesterday');
    }

    private function fill(string $topic, int $count): void
    {
        $publications = array_map(static fn (int $number) => new Publication($topic, $number), range(1, $count));
        self::assertTrue($this->broker->publishMany($publications)->isComplete());
    }

    /** @return list<mixed> */
    private function data(\Fanwire\Page $page): array
    {
        return array_map(static fn ($message) => $message->data, $page->messages);
    }
}
