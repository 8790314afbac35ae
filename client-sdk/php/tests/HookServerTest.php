<?php

/**
 * Callouts of the real broker, and forged ones.
 */

declare(strict_types=1);

namespace Fanwire\Tests;

use Fanwire\Binary;
use Fanwire\Exception\BadConfiguration;
use Fanwire\Exception\Forbidden;
use Fanwire\Exception\Unavailable;
use Fanwire\HookServer;
use Fanwire\Hooks\PublishCallout;
use Fanwire\Hooks\RequestCallout;
use PHPUnit\Framework\TestCase;

final class HookServerTest extends TestCase
{
    private const SECRET = 'hooks of these tests';

    private static PhpServer $application;
    private static RunningBroker $running;

    public static function setUpBeforeClass(): void
    {
        self::$application = new PhpServer(__DIR__ . '/apps/hooks.php', ['HOOKS_SECRET' => self::SECRET]);
        self::$running = new RunningBroker(sprintf(
            "[hooks]\nurl = \"%s/\"\nsecret = \"%s\"\ncallouts = [\"connect\", \"subscribe\", \"publish\", \"request\"]\n"
            . "[[topic]]\nmatch = \">\"\npresence = true\n",
            self::$application->url,
            self::SECRET,
        ));
    }

    public static function tearDownAfterClass(): void
    {
        self::$running->stop();
    }

    public function testPublishIsAllowedChangedOrRefused(): void
    {
        $broker = self::$running->client();
        $broker->publish('php.callout', "  spaces \n");
        $broker->publish('php.callout', new Binary("\1\2\3"));
        $broker->publish('php.callout', ['n' => 1]);
        try {
            $broker->publish('php.callout', 'no');
            self::fail('It was allowed.');
        } catch (Forbidden $error) {
            self::assertSame(403, $error->status);
        }
        $held = array_map(static fn ($message) => $message->data, $broker->history('php.callout')->messages);
        self::assertEquals(['spaces', new Binary("\3\2\1"), ['n' => 1]], $held);
    }

    public function testFailingHandlerRefusesAndIsReportedToTheApplicationOnly(): void
    {
        $broker = self::$running->client();
        foreach (['throw', 'forgot'] as $payload) {
            try {
                $broker->publish('php.failing', $payload);
                self::fail('It was allowed.');
            } catch (Unavailable $error) {
                self::assertStringNotContainsString('secret of the application', $error->getMessage());
            }
        }
        self::$application->await('/RuntimeException: a secret of the application \(hooks\.php:\d+\)/');
        self::$application->await('/LogicException: A handler returns true, false or an answer .* returned null/');
        self::assertCount(0, $broker->history('php.failing'));
    }

    public function testConnectSetsTheUser(): void
    {
        $socket = new PlainSocket(self::$running->port);
        $socket->say(['type' => 'connect', 'id' => 1]);
        self::assertSame('guest-ws', $socket->await('connected')['user']);
        self::$application->await('/connect ws/');
        $socket->say(['type' => 'subscribe', 'id' => 2, 'topic' => 'php.room']);
        $socket->await('subscribed');
        $socket->say(['type' => 'presence', 'id' => 3, 'topic' => 'php.room']);
        self::assertSame(['via' => 'ws'], $socket->await('presence')['members'][0]['info']);
        $socket->say(['type' => 'subscribe', 'id' => 4, 'topic' => 'php.closed']);
        $error = $socket->await('error');
        self::assertSame(['forbidden', 'This room is closed.'], [$error['code'], $error['message']]);
    }

    public function testRequestsAreAnswered(): void
    {
        $socket = new PlainSocket(self::$running->port);
        $socket->say(['type' => 'connect', 'id' => 1]);
        $socket->await('connected');
        $socket->say(['type' => 'request', 'id' => 2, 'method' => 'double', 'data' => ['n' => 21]]);
        self::assertSame(['user' => 'guest-ws', 'doubled' => 42], $socket->await('response')['data']);
        $socket->say(['type' => 'request', 'id' => 3, 'method' => 'bytes', 'data' => null]);
        self::assertSame('AP8=', $socket->await('response')['data_base64']);
        $socket->say(['type' => 'request', 'id' => 4, 'method' => 'nothing', 'data' => null]);
        self::assertSame('There is no such method.', $socket->await('error')['message']);
    }

    public function testForgedCalloutsAreRefused(): void
    {
        $body = '{"hook":"publish","id":"1","topic":"a","data":"x"}';
        $hooks = (new HookServer(self::SECRET))->onMessage(fn () => true);
        self::assertSame(200, $hooks->handle($body, self::sign($body))->status);
        self::assertSame('{"allow":true}', $hooks->handle($body, self::sign($body))->body);
        $late = time() - 301;
        $early = time() + 302;
        $refused = [
            'no signature' => '',
            'a web page' => '<!doctype html><html></html>',
            'another secret' => self::sign($body, secret: 'another secret of 16'),
            'another body' => self::sign("$body "),
            'an old call' => self::sign($body, $late),
            'a call of the future' => self::sign($body, $early),
            'an old call with a new time' => preg_replace('/\d+/', (string) time(), self::sign($body, $late), 1),
            'capitals' => strtoupper(self::sign($body)),
            'a line more' => self::sign($body) . "\n",
            'another version' => str_replace('v1=', 'v2=', self::sign($body)),
            'half' => substr(self::sign($body), 0, -1),
        ];
        foreach ($refused as $name => $signature) {
            self::assertSame(401, $hooks->handle($body, (string) $signature)->status, $name);
        }
        self::assertSame(200, $hooks->handle($body, self::sign($body, time() - 290))->status);
    }

    public function testSignedBodyThatIsNoCalloutIsRefused(): void
    {
        $hooks = (new HookServer(self::SECRET))->onMessage(fn () => true)->onError(fn () => null);
        foreach (['', '<html><body>Hello</body></html>', '{', '[]', '"publish"', '{"hook":7}', "\xff", 'null'] as $body) {
            self::assertSame(400, $hooks->handle($body, self::sign($body))->status, $body);
        }
        foreach (['{"hook":"connect"}', '{"hook":"newer"}'] as $body) {
            self::assertSame(501, $hooks->handle($body, self::sign($body))->status, $body);
        }
        $body = '{"hook":"publish","id":1,"user":[],"topic":null,"data_base64":"?"}';
        self::assertSame(200, $hooks->handle($body, self::sign($body))->status, 'Wrong types are no errors of PHP.');
    }

    public function testInvalidAnswerOfAHandlerIsAnError(): void
    {
        $events = [];
        $hooks = (new HookServer(self::SECRET))
            ->onMessage(fn (PublishCallout $callout) => $callout->replace("\xff"))
            ->onRequest(fn (RequestCallout $callout) => true)
            ->onError(function (\Throwable $error) use (&$events): void {
                $events[] = get_class($error);
            });
        foreach (['publish', 'request'] as $hook) {
            $body = "{\"hook\":\"$hook\",\"id\":\"1\",\"data\":1}";
            $response = $hooks->handle($body, self::sign($body));
            self::assertSame(500, $response->status);
            self::assertStringNotContainsString('allow', $response->body);
        }
        self::assertSame(['Fanwire\Exception\BadRequest', 'LogicException'], $events);
        $this->expectException(BadConfiguration::class);
        new HookServer('');
    }

    public function testBrowserThatOpensTheUrlIsRefused(): void
    {
        $handle = curl_init(self::$application->url);
        curl_setopt($handle, CURLOPT_RETURNTRANSFER, true);
        self::assertStringContainsString('for the broker', (string) curl_exec($handle));
        self::assertSame(405, curl_getinfo($handle, CURLINFO_RESPONSE_CODE));
        curl_setopt($handle, CURLOPT_POSTFIELDS, '{"hook":"connect"}');
        curl_exec($handle);
        self::assertSame(401, curl_getinfo($handle, CURLINFO_RESPONSE_CODE));
    }

    private static function sign(string $body, ?int $time = null, string $secret = self::SECRET): string
    {
        $time ??= time();
        return "t=$time,v1=" . hash_hmac('sha256', "$time.$body", $secret);
    }
}
