<?php

/**
 * Whole numbers that do not fit into PHP's int: wherever JSON is read, their digits are kept.
 */

declare(strict_types=1);

namespace Fanwire\Tests;

use Fanwire\Exception\UnexpectedAnswer;
use Fanwire\HookServer;
use Fanwire\Hooks\PublishCallout;
use Fanwire\Hooks\RequestCallout;
use Fanwire\Message;
use Fanwire\Page;
use Fanwire\Payload;
use Fanwire\Receipt;
use Fanwire\Session;
use PHPUnit\Framework\TestCase;

final class NumbersTest extends TestCase
{
    private const JSON = '{"most":18446744073709551615,"one_more":9223372036854775808,"least":-9223372036854775809,'
        . '"id":9223372036854775807,"float":1.8446744073709552e19,"list":[18446744073709551616]}';
    private const READ = [
        'most' => '18446744073709551615',
        'one_more' => '9223372036854775808',
        'least' => '-9223372036854775809',
        'id' => PHP_INT_MAX,
        'float' => 1.8446744073709552e19,
        'list' => ['18446744073709551616'],
    ];

    public function testDigitsOfLargeNumbersAreKeptInHistoryAndWhileListening(): void
    {
        $running = new RunningBroker();
        $broker = $running->client();
        $request = stream_context_create(['http' => [
            'method' => 'POST', 'header' => 'Content-Type: application/json', 'content' => self::JSON,
        ]]);
        self::assertIsString(file_get_contents("$running->url/topics/php.large", false, $request));
        self::assertSame(self::READ, $broker->history('php.large')->messages[0]->data);
        foreach ([false, true] as $polling) {
            foreach ($broker->listen('php.large', 'earliest', polling: $polling) as $message) {
                self::assertSame(self::READ, $message->data);
                break;
            }
        }
    }

    public function testDigitsOfLargeNumbersAreKeptInCallouts(): void
    {
        $secret = 'hooks of these tests';
        $received = [];
        $hooks = (new HookServer($secret))
            ->onMessage(function (PublishCallout $callout) use (&$received): bool {
                $received[] = $callout->data;
                return true;
            })
            ->onRequest(function (RequestCallout $callout) use (&$received) {
                $received[] = $callout->data;
                return $callout->reply(null);
            });
        foreach (['publish', 'request'] as $hook) {
            $body = "{\"hook\":\"$hook\",\"id\":\"1\",\"data\":" . self::JSON . '}';
            $time = time();
            $signature = "t=$time,v1=" . hash_hmac('sha256', "$time.$body", $secret);
            self::assertSame(200, $hooks->handle($body, $signature)->status);
        }
        self::assertSame([self::READ, self::READ], $received);
    }

    /** @return array<string, array{callable(): mixed}> */
    public function positions(): array
    {
        $large = Payload::decode('{"topic":"a","epoch":"e","offset":18446744073709551615,"ts":18446744073709551615}');
        $opened = Payload::decode('{"connection":"c","transport":"ws","opened":18446744073709551615}');
        return [
            'offset of a receipt' => [static fn () => Receipt::read($large)],
            'offset of a message' => [static fn () => Message::read($large)],
            'time of a message' => [static fn () => Message::read(['offset' => 1] + $large)],
            'on a page' => [static fn () => Page::read(['messages' => [$large], 'cursor' => 'e:1'])],
            'session' => [static fn () => Session::read($opened)],
            'a float' => [static fn () => Receipt::read(['offset' => 1.0e19] + $large)],
            'a text' => [static fn () => Receipt::read(['offset' => 'seven'] + $large)],
        ];
    }

    /** @dataProvider positions */
    public function testFieldOfTheBrokerThatIsNoIntIsAnErrorAndNotAnotherNumber(callable $read): void
    {
        $this->expectException(UnexpectedAnswer::class);
        $this->expectExceptionMessage('is not a whole number that fits into an int of PHP');
        $read();
    }
}
