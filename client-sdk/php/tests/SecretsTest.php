<?php

/**
 * No dump, error or trace shows a key or secret.
 */

declare(strict_types=1);

namespace Fanwire\Tests;

use Fanwire\Broker;
use Fanwire\HookServer;
use Fanwire\Secret;
use Fanwire\TokenSigner;
use PHPUnit\Framework\TestCase;

final class SecretsTest extends TestCase
{
    private const SECRET = 'fwk_MostSecretOfAllKeysOfAtLeast32Bytes';

    /** @return array<string, array{object}> */
    public function holders(): array
    {
        return [
            'broker' => [new Broker('http://127.0.0.1:1', self::SECRET)],
            'signer' => [new TokenSigner(self::SECRET)],
            'hooks' => [new HookServer(self::SECRET)],
            'secret' => [new Secret(self::SECRET)],
        ];
    }

    /** @dataProvider holders */
    public function testDumpsDoNotShowIt(object $holder): void
    {
        ob_start();
        var_dump($holder);
        print_r($holder);
        echo json_encode($holder);
        $shown = (string) ob_get_clean();
        $shown .= print_r((array) $holder, true);
        try {
            $shown .= serialize($holder);
        } catch (\Throwable $error) {
            $shown .= $error->getMessage();
        }
        try {
            $shown .= var_export($holder, true);
        } catch (\Throwable $error) {
            $shown .= $error->getMessage();
        }
        self::assertNotSame('', $shown);
        self::assertStringNotContainsString(self::SECRET, $shown);
    }

    public function testErrorsDoNotShowItNorDoTheirTraces(): void
    {
        $away = new Broker('http://127.0.0.1:1', self::SECRET);
        $calls = [
            static fn () => $away->publish('a', 'b'),
            static fn () => $away->listen('a')->current(),
            static fn () => new Broker('nonsense', self::SECRET),
            static fn () => new Broker('http://localhost', self::SECRET . "\n"),
            static fn () => (new TokenSigner(self::SECRET))->sign(''),
            static fn () => new TokenSigner(substr(self::SECRET, 0, 20)),
            static fn () => new HookServer(substr(self::SECRET, 0, 15)),
        ];
        foreach ($calls as $call) {
            try {
                $call();
                self::fail('It was accepted.');
            } catch (\Fanwire\Exception\FanwireException $error) {
                $shown = $error . print_r($error->getTrace(), true);
                if (PHP_VERSION_ID < 80200) {
                    // Before 8.2 PHP cannot leave an argument out of a trace.
                    $shown = $error->getMessage();
                }
                self::assertStringNotContainsString('MostSecret', $shown);
            }
        }
    }
}
