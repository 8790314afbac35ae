<?php

/**
 * Tokens for users, shown to the real broker.
 */

declare(strict_types=1);

namespace Fanwire\Tests;

use Fanwire\Exception\BadConfiguration;
use Fanwire\Exception\BadRequest;
use Fanwire\Exception\Forbidden;
use Fanwire\Exception\Unauthorized;
use Fanwire\TokenSigner;
use PHPUnit\Framework\TestCase;

final class TokenTest extends TestCase
{
    private static RunningBroker $running;

    public static function setUpBeforeClass(): void
    {
        self::$running = new RunningBroker(RunningBroker::secured(
            "[[topic]]\nmatch = \"users.{user}.>\"\nsubscribe = \"authenticated\"\npresence = true\n"
        ));
    }

    public function testTokenLetsAUserDoWhatItGrantsAndNothingElse(): void
    {
        $token = (new TokenSigner(RunningBroker::SECRET))->sign('ann', subscribe: ['news.>'], publish: ['orders.*']);
        $ann = self::$running->client($token);
        self::assertSame('orders.new', $ann->publish('orders.new', 'one')->topic);
        self::assertCount(0, $ann->history('news.today'));
        self::assertCount(0, $ann->history('users.ann.mail'));
        $wishes = [
            fn () => $ann->publish('news.today', 'mine'),
            fn () => $ann->history('orders.new'),
            fn () => $ann->history('users.bob.mail'),
        ];
        foreach ($wishes as $wish) {
            try {
                $wish();
                self::fail('It was allowed.');
            } catch (Forbidden $error) {
                self::assertSame('forbidden', $error->errorCode);
                self::assertSame(403, $error->status);
            }
        }
    }

    public function testWhatAnotherSecretHasSignedIsRefused(): void
    {
        $token = (new TokenSigner(str_repeat('another secret ', 3)))->sign('ann', publish: ['>']);
        $this->expectException(Unauthorized::class);
        self::$running->client($token)->publish('orders.new', 'one');
    }

    public function testTokenEndsWhenItsTimeIsOver(): void
    {
        $token = (new TokenSigner(RunningBroker::SECRET))->sign('ann', publish: ['orders.*'], lifetime: 1);
        $claims = self::claims($token);
        self::assertSame($claims['iat'] + 1, $claims['exp']);
        while (microtime(true) < $claims['exp'] + 0.1) {
            usleep(50_000);
        }
        try {
            self::$running->client($token)->publish('orders.new', 'late');
            self::fail('It was allowed.');
        } catch (Unauthorized $error) {
            self::assertSame('token_expired', $error->errorCode);
            self::assertSame(401, $error->status);
        }
    }

    public function testAudienceAndIssuerAreSaid(): void
    {
        $running = new RunningBroker(RunningBroker::secured());
        $strict = new RunningBroker(str_replace(
            '[auth]',
            "[auth]\naudience = [\"chat\"]\nissuer = \"https://shop.example\"",
            RunningBroker::secured(),
        ));
        $token = (new TokenSigner(RunningBroker::SECRET, 'chat', 'https://shop.example'))->sign('ann', publish: ['a']);
        self::assertSame('a', $strict->client($token)->publish('a', 1)->topic);
        $this->expectException(Unauthorized::class);
        $running->client($token)->publish('a', 1);
    }

    public function testInfoIsWhatOthersSee(): void
    {
        $signer = new TokenSigner(RunningBroker::SECRET);
        $ann = new PlainSocket(self::$running->port, $signer->sign('ann', info: ['name' => 'Ann "A" Ä']));
        $ann->say(['type' => 'subscribe', 'id' => 1, 'topic' => 'users.ann.room']);
        $ann->await('subscribed');
        $ann->say(['type' => 'presence', 'id' => 2, 'topic' => 'users.ann.room']);
        $member = $ann->await('presence')['members'][0];
        self::assertSame('ann', $member['user']);
        self::assertSame(['name' => 'Ann "A" Ä'], $member['info']);
    }

    public function testTokenOfOneSubscriptionOpensThatTopicOnly(): void
    {
        $signer = new TokenSigner(RunningBroker::SECRET . "\n");
        $ann = new PlainSocket(self::$running->port, $signer->sign('ann'));
        $token = $signer->signSubscription('ann', 'orders.17');
        $ann->say(['type' => 'subscribe', 'id' => 1, 'topic' => 'orders.17']);
        self::assertSame('forbidden', $ann->await('error')['code']);
        $ann->say(['type' => 'subscribe', 'id' => 2, 'topic' => 'orders.18', 'token' => $token]);
        self::assertSame('forbidden', $ann->await('error')['code']);
        $ann->say(['type' => 'subscribe', 'id' => 3, 'topic' => 'orders.17', 'token' => $token]);
        self::assertSame('orders.17', $ann->await('subscribed')['topic']);
        $bobs = $signer->signSubscription('bob', 'orders.17');
        $ann->say(['type' => 'subscribe', 'id' => 4, 'topic' => 'orders.17', 'token' => $bobs]);
        self::assertContains($ann->await('error')['code'], ['forbidden', 'unauthorized']);
    }

    public function testWhatTheBrokerWouldRefuseIsNotSigned(): void
    {
        $signer = new TokenSigner(RunningBroker::SECRET);
        $wishes = [
            'no user' => fn () => $signer->sign(''),
            'a long user' => fn () => $signer->sign(str_repeat('a', 256)),
            'no time' => fn () => $signer->sign('ann', lifetime: 0),
            'a user that is no text' => fn () => $signer->sign("\xff"),
            'much info' => fn () => $signer->sign('ann', info: str_repeat('a', 4096)),
            'many grants' => fn () => $signer->sign('ann', subscribe: array_fill(0, 1000, 'orders.17')),
        ];
        foreach ($wishes as $name => $wish) {
            try {
                $wish();
                self::fail("$name was signed.");
            } catch (BadRequest $error) {
                self::assertNotSame('', $error->advice());
            }
        }
        $this->expectException(BadConfiguration::class);
        new TokenSigner('too short');
    }

    /** @return array<string, mixed> */
    private static function claims(string $token): array
    {
        return json_decode((string) base64_decode(strtr(explode('.', $token)[1], '-_', '+/')), true);
    }
}
