<?php

/**
 * Publishing to the real broker: every kind of payload, batches, and retries that never publish twice.
 */

declare(strict_types=1);

namespace Fanwire\Tests;

use Fanwire\Binary;
use Fanwire\Broker;
use Fanwire\Exception\BadRequest;
use Fanwire\Exception\Unreachable;
use Fanwire\Http\Answer;
use Fanwire\Http\CurlTransport;
use Fanwire\Http\Request;
use Fanwire\Http\Transport;
use Fanwire\Publication;
use Fanwire\Receipt;
use Fanwire\Refusal;
use PHPUnit\Framework\TestCase;

final class PublishingTest extends TestCase
{
    private static RunningBroker $running;
    private Broker $broker;

    public static function setUpBeforeClass(): void
    {
        self::$running = new RunningBroker();
    }

    protected function setUp(): void
    {
        $this->broker = self::$running->client();
    }

    /** @return array<string, array{mixed, mixed}> the published value, and the received value */
    public function payloads(): array
    {
        return [
            'text' => ['Grüße', 'Grüße'],
            'empty text' => ['', ''],
            'text that looks like JSON' => ['{"a":1}', '{"a":1}'],
            'text with a line end' => ["a\r\nb", "a\r\nb"],
            'binary' => [new Binary("\0\xff\x80"), new Binary("\0\xff\x80")],
            'no bytes' => [new Binary(''), new Binary('')],
            'object' => [(object) ['a' => ['b' => 1.0]], ['a' => ['b' => 1.0]]],
            'array' => [['name' => 'Ann', 'list' => [1, 2]], ['name' => 'Ann', 'list' => [1, 2]]],
            'empty objects' => [['a' => new \stdClass(), 'b' => [], 'c' => new \ArrayObject()], ['a' => [], 'b' => [], 'c' => []]],
            'text with braces' => [['a' => '{}', 'bytes' => '{"bytes":1}'], ['a' => '{}', 'bytes' => '{"bytes":1}']],
            'field bytes' => [['bytes' => 3, 'none' => (object) []], ['bytes' => 3, 'none' => []]],
            'null' => [null, null],
            'false' => [false, false],
            'number' => [-0.5, -0.5],
            'largest whole number' => [PHP_INT_MAX, PHP_INT_MAX],
            'smallest whole number' => [PHP_INT_MIN, PHP_INT_MIN],
            'object with a method' => [new class implements \JsonSerializable {
                public function jsonSerialize(): array
                {
                    return ['id' => 7];
                }
            }, ['id' => 7]],
        ];
    }

    /** @dataProvider payloads */
    public function testPayloadArrivesAsItWasPublished(mixed $payload, mixed $expected): void
    {
        $receipt = $this->broker->publish('php.payload', $payload);
        self::assertEquals($expected, $this->last('php.payload')->data);
        self::assertSame($receipt->cursor(), $this->last('php.payload')->cursor);

        $results = $this->broker->publishMany([new Publication('php.payload', $payload)]);
        self::assertTrue($results->isComplete());
        self::assertEquals($expected, $this->last('php.payload')->data);
    }

    public function testReceiptHasThePositionAndTheSubscribers(): void
    {
        $receipt = $this->broker->publish('php.receipt', 'hi');
        self::assertSame('php.receipt', $receipt->topic);
        self::assertSame(0, $receipt->subscribers);
        self::assertFalse($receipt->duplicate);
        $socket = new PlainSocket(self::$running->port);
        $socket->say(['type' => 'subscribe', 'id' => 1, 'topic' => 'php.receipt']);
        $socket->await('subscribed');
        $second = $this->broker->publish('php.receipt', 'hi');
        self::assertSame(1, $second->subscribers);
        self::assertSame($receipt->epoch, $second->epoch);
        self::assertGreaterThan($receipt->offset, $second->offset);
        self::assertSame('hi', $socket->await('message')['data']);
    }

    public function testSameKeyIsPublishedOnce(): void
    {
        $first = $this->broker->publish('php.key', ['n' => 1], key: 'order-17');
        $again = $this->broker->publish('php.key', ['n' => 1], key: 'order-17');
        self::assertTrue($again->duplicate);
        self::assertSame($first->offset, $again->offset);
        self::assertCount(1, $this->broker->history('php.key'));
    }

    public function testBatchGivesEachMessageItsOwnResult(): void
    {
        $results = $this->broker->publishMany([
            new Publication('php.batch', 'one'),
            new Publication('two words', 'two'),
            new Publication('php.batch', new Binary("\xff"), 'three'),
            new Publication('php.batch', new Binary("\xff"), 'three'),
        ]);
        self::assertCount(4, $results);
        self::assertFalse($results->isComplete());
        self::assertInstanceOf(Receipt::class, $results->results[0]);
        self::assertInstanceOf(Refusal::class, $results->results[1]);
        self::assertSame('two words', $results->results[1]->topic);
        self::assertSame('bad_topic', $results->results[1]->code);
        self::assertStringContainsString('white space', $results->results[1]->message);
        self::assertFalse($results->results[2]->duplicate);
        self::assertTrue($results->results[3]->duplicate);
        self::assertSame([0, 2, 3], array_keys($results->receipts()));
        self::assertSame([1], array_keys($results->refusals()));
        self::assertCount(2, $this->broker->history('php.batch'));
        self::assertCount(0, $this->broker->publishMany([]));
    }

    public function testRetryAfterALostResponseDoesNotPublishTwice(): void
    {
        $forgetful = new class implements Transport {
            public int $calls = 0;

            public function send(Request $request, float $timeout): Answer
            {
                $answer = (new CurlTransport())->send($request, $timeout);
                $this->calls++;
                if ($this->calls % 2 === 1) {
                    throw new Unreachable('The connection broke before the answer came.', 'unreachable');
                }
                return $answer;
            }
        };
        $broker = new Broker(self::$running->url, transport: $forgetful);
        self::assertTrue($broker->publish('php.lost', 'once')->duplicate);
        self::assertSame(2, $forgetful->calls);
        $results = $broker->publishMany([new Publication('php.lost', 'twice'), new Publication('php.lost', 'thrice')]);
        self::assertSame(4, $forgetful->calls);
        self::assertTrue($results->results[0]->duplicate);
        $held = array_map(static fn ($message) => $message->data, $this->broker->history('php.lost')->messages);
        self::assertSame(['once', 'twice', 'thrice'], $held);
    }

    /** @return array<string, array{mixed}> */
    public function unwritable(): array
    {
        $circle = new \stdClass();
        $circle->self = $circle;
        $private = new class {
            private int $id = 7;

            public function id(): int
            {
                return $this->id;
            }
        };
        return [
            'no UTF-8' => ["\xff"],
            'inside' => [['a' => "\xff"]],
            'endless' => [$circle],
            'NaN' => [NAN],
            'closure' => [static fn () => 1],
            'generator' => [(static fn () => yield 1)()],
            'collection' => [['users' => new \SplObjectStorage()]],
            'private properties' => [['user' => $private]],
            'private properties inside an object' => [(object) ['user' => (object) ['of' => $private]]],
            'a Binary inside' => [['photo' => new Binary('abc')]],
            'a resource' => [STDIN],
        ];
    }

    /** @dataProvider unwritable */
    public function testInvalidPayloadIsRefusedBeforeItIsSent(mixed $payload): void
    {
        $send = [
            fn () => $this->broker->publish('php.bad', $payload),
            fn () => $this->broker->publishMany([new Publication('php.bad', $payload)]),
        ];
        foreach ($send as $call) {
            try {
                $call();
                self::fail('It was accepted.');
            } catch (BadRequest $error) {
                self::assertSame('bad_payload', $error->errorCode);
                self::assertStringContainsString('Fanwire\Binary', $error->getMessage());
            }
        }
    }

    public function testBatchOfSomethingElseIsRefusedBeforeItIsSent(): void
    {
        $this->expectException(BadRequest::class);
        $this->expectExceptionMessage('publishMany() takes Fanwire\Publication objects, not array.');
        $this->broker->publishMany([['topic' => 'php.bad', 'payload' => 1]]);
    }

    private function last(string $topic): \Fanwire\Message
    {
        return $this->broker->history($topic, limit: 1, reverse: true)->messages[0];
    }
}
