<?php

/**
 * The site of examples/php/site, which docs/php.md describes: the real scripts under `php -S`, the real broker, a visitor.
 */

declare(strict_types=1);

namespace Fanwire\Tests;

use PHPUnit\Framework\TestCase;

final class SiteTest extends TestCase
{
    private const FOLDER = __DIR__ . '/../../../examples/php/site';
    private const HOOKS_SECRET = 'the secret of the hooks of a site';

    private static PhpServer $site;
    private static RunningBroker $running;

    public static function setUpBeforeClass(): void
    {
        $ports = [PhpServer::freePort(), PhpServer::freePort()];
        $configuration = (string) file_get_contents(self::FOLDER . '/broker.toml');
        self::assertStringContainsString('http://localhost:8000/', $configuration);
        self::$site = new PhpServer(self::FOLDER, [
            'BROKER_URL' => "http://127.0.0.1:$ports[1]",
            'BROKER_PUBLIC_URL' => "http://localhost:$ports[1]",
            'BROKER_KEY' => RunningBroker::KEY,
            'BROKER_SECRET' => RunningBroker::SECRET,
            'HOOKS_SECRET' => self::HOOKS_SECRET,
        ], $ports[0]);
        self::$running = new RunningBroker(
            str_replace('http://localhost:8000', self::$site->url, $configuration) . RunningBroker::key(),
            $ports[1],
            ['FANWIRE_AUTH_SECRET' => RunningBroker::SECRET, 'FANWIRE_HOOKS_SECRET' => self::HOOKS_SECRET],
        );
    }

    public static function tearDownAfterClass(): void
    {
        self::$running->stop();
    }

    public function testVisitorEntersReceivesAndPublishes(): void
    {
        $ann = new Visitor(self::$site->url);
        self::assertStringContainsString('Your name', $ann->get('/index.php'));
        self::assertStringNotContainsString('fanwire.js', $ann->get('/index.php'));
        $page = $ann->post('/index.php', ['name' => 'Ann']);
        self::assertStringContainsString('http://localhost:' . self::$running->port . '/fanwire.js', $page);
        self::assertStringContainsString('Ann says', $page);

        $socket = new PlainSocket(self::$running->port, $ann->get('/token.php'));
        $socket->say(['type' => 'subscribe', 'id' => 1, 'topic' => 'room.lobby']);
        $socket->await('subscribed');
        self::assertSame("Delivered to 1 subscribers\n", $ann->post('/say.php', ['text' => ' Hello <b> ']));
        self::assertSame(['name' => 'Ann', 'text' => 'Hello <b>'], $socket->await('message')['data']);

        $socket->say(['type' => 'presence', 'id' => 2, 'topic' => 'room.lobby']);
        self::assertSame(['name' => 'Ann'], $socket->await('presence')['members'][0]['info']);
        $socket->say(['type' => 'request', 'id' => 3, 'method' => 'time', 'data' => null]);
        self::assertMatchesRegularExpression('/^\d\d:\d\d$/', $socket->await('response')['data']['time']);
        $socket->say(['type' => 'publish', 'id' => 4, 'topic' => 'room.lobby', 'data' => ['name' => 'Eve', 'text' => 'hi']]);
        self::assertSame(['name' => 'Ann', 'text' => 'hi'], $socket->await('message')['data'], 'The site sets the name of the publisher.');
        $socket->say(['type' => 'publish', 'id' => 5, 'topic' => 'room.lobby', 'data' => 'no text']);
        self::assertSame('A message has a text.', $socket->await('error')['message']);
        $socket->say(['type' => 'subscribe', 'id' => 6, 'topic' => 'users.Bob.notices']);
        self::assertSame('forbidden', $socket->await('error')['code']);
        $socket->say(['type' => 'subscribe', 'id' => 7, 'topic' => 'users.Ann.notices']);
        $socket->await('subscribed');
        self::assertSame(1, self::$running->client(RunningBroker::KEY)->publish('users.Ann.notices', 'x')->subscribers);
    }

    public function testNamesAreEscaped(): void
    {
        $visitor = new Visitor(self::$site->url);
        $page = $visitor->post('/index.php', ['name' => '<script>alert(1)</script>']);
        self::assertStringNotContainsString('<script>alert', $page);
    }

    public function testVisitorWithoutANameGetsNoTokenAndCannotPublish(): void
    {
        $stranger = new Visitor(self::$site->url);
        $stranger->get('/token.php');
        self::assertSame(401, $stranger->status);
        $stranger->post('/say.php', ['text' => 'Hello']);
        self::assertSame(401, $stranger->status);
    }

    public function testRefusalOfACalloutReachesTheVisitor(): void
    {
        $mallory = new Visitor(self::$site->url);
        $mallory->post('/index.php', ['name' => 'Mallory']);
        $socket = new PlainSocket(self::$running->port, $mallory->get('/token.php'));
        $socket->say(['type' => 'subscribe', 'id' => 1, 'topic' => 'room.lobby']);
        self::assertSame('You have been asked to leave.', $socket->await('error')['message']);
    }

    public function testVisitorSeesNoDetailsWhenTheBrokerIsDown(): void
    {
        $away = new PhpServer(self::FOLDER, ['BROKER_URL' => 'http://127.0.0.1:' . PhpServer::freePort()]);
        $visitor = new Visitor($away->url);
        $visitor->post('/index.php', ['name' => 'Ann']);
        self::assertSame("That did not work. Please try again.\n", $visitor->post('/say.php', ['text' => 'Hello']));
        self::assertSame(503, $visitor->status);
        $away->await('/No answer from the broker at .* Check that the broker runs/');
    }
}
