<?php

/**
 * A broker with TLS, and with a certificate that browsers would not accept.
 */

declare(strict_types=1);

namespace Fanwire\Tests;

use Fanwire\Broker;
use Fanwire\Exception\UnexpectedAnswer;
use Fanwire\Exception\Unreachable;
use Fanwire\Http\CurlTransport;
use PHPUnit\Framework\TestCase;

final class TlsTest extends TestCase
{
    private static string $folder;
    private static RunningBroker $running;

    public static function setUpBeforeClass(): void
    {
        self::$folder = sys_get_temp_dir() . '/fanwire-tls-' . getmypid();
        mkdir(self::$folder);
        exec('cd ' . escapeshellarg(self::$folder) . ' && openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes'
            . ' -keyout key.pem -out certificate.pem -days 1 -subj /CN=fanwire -addext subjectAltName=IP:127.0.0.1 2>&1', $said, $code);
        self::assertSame(0, $code, implode("\n", $said));
        self::$running = new RunningBroker(self::configuration());
    }

    private static function configuration(): string
    {
        return sprintf("[tls]\ncertificate = \"%s/certificate.pem\"\nkey = \"%1\$s/key.pem\"\n", self::$folder);
    }

    public static function tearDownAfterClass(): void
    {
        self::$running->stop();
        exec('rm -rf ' . escapeshellarg(self::$folder));
    }

    public function testCaFileIsTrusted(): void
    {
        $transport = new CurlTransport(caFile: self::$folder . '/certificate.pem');
        $broker = new Broker(self::$running->url, transport: $transport);
        self::assertStringStartsWith('https://', self::$running->url);
        self::assertSame(1, $broker->publish('php.tls', 'over TLS')->offset);
        foreach ($broker->listen('php.tls', 'earliest') as $message) {
            self::assertSame('over TLS', $message->data);
            break;
        }
    }

    public function testForkedProcessesLoseNothingOverTls(): void
    {
        $certificate = self::$folder . '/certificate.pem';
        $readers = new Process([PHP_BINARY, __DIR__ . '/apps/forked-readers.php', self::$running->url, $certificate]);
        self::assertSame(['60', '0', '8'], array_slice($readers->await('/right (\d+), wrong (\d+), .* (\d+)/'), 1), $readers->said());
        foreach (['stream', 'poll'] as $way) {
            $running = new RunningBroker(self::configuration());
            $listeners = new Process([PHP_BINARY, __DIR__ . '/apps/forked-listeners.php', $running->url, $way, $certificate]);
            $listeners->await('/the child ended with 0/');
            $all = 'begin ' . implode(' ', range(1, 50)) . ' end';
            self::assertStringContainsString("parent: $all\n", $listeners->said());
            self::assertStringContainsString("child: $all\n", $listeners->said());
        }
    }

    public function testUnknownCertificateIsRefused(): void
    {
        foreach ([self::$running->url, str_replace('https', 'http', self::$running->url)] as $url) {
            $broker = new Broker($url, 'fwk_secret', attempts: 1);
            foreach ([fn () => $broker->publish('a', 1), fn () => $broker->listen('a')->current()] as $call) {
                try {
                    $call();
                    self::fail("It was sent to $url.");
                } catch (Unreachable $error) {
                    self::assertStringContainsString('certificate', $error->getMessage());
                } catch (UnexpectedAnswer $error) {
                    // The broker answers plain HTTP on its TLS port with a sentence.
                    self::assertStringContainsString('this port speaks TLS: write https://', $error->getMessage());
                }
            }
        }
    }
}
