<?php

/**
 * Owns the broker of one test: the real binary on a free port. It does not know what is tested.
 */

declare(strict_types=1);

namespace Fanwire\Tests;

use Fanwire\Broker;

/** A running broker. It is killed when the object is destroyed. */
final class RunningBroker
{
    /** For configurations of tests; brokers of tests are reached on loopback only. */
    public const SECRET = 'a secret of these tests, of 32 bytes and more';
    /** An API key and its hash, made by `fanwire token key`; good for brokers of tests only. */
    public const KEY = 'fwk_KJ4wEzaWao9UIwm-dD3DMVBEuPDrt8KDtxe36mfdA_Q';
    private const KEY_HASH = 'sha256:-LY072s8SA1dJ-VeEHtDKnT1Xh2q2mhOFP6GoV5QKVQ';

    public readonly string $url;
    public readonly int $port;
    private readonly Process $process;

    /**
     * Starts a broker.
     *
     * @param string                $configuration a configuration file's text
     * @param int                   $port          0 for a free one
     * @param array<string, string> $environment   more variables
     */
    public function __construct(string $configuration = '', int $port = 0, array $environment = [])
    {
        $file = (string) tempnam(sys_get_temp_dir(), 'fanwire');
        file_put_contents($file, $configuration);
        $command = [self::binary(), 'serve', '--listen', "127.0.0.1:$port", '--config', $file];
        $this->process = new Process($command, $environment);
        [$this->url, $port] = $this->process->await('~https?://127\.0\.0\.1:(\d+)~');
        $this->port = (int) $port;
        unlink($file);
    }

    /** Returns a configuration that requires credentials: tokens, or one API key with all permissions. */
    public static function secured(string $more = ''): string
    {
        return "[auth]\nsecret = \"" . self::SECRET . "\"\n" . self::key() . $more;
    }

    /** Returns the section of a configuration that gives KEY all permissions. */
    public static function key(): string
    {
        return "[[key]]\nname = \"shop\"\nhash = \"" . self::KEY_HASH . "\"\n"
            . "publish = [\">\"]\nsubscribe = [\">\"]\nadmin = true\n";
    }

    /** Returns a client of this broker. */
    public function client(?string $key = null): Broker
    {
        return new Broker($this->url, $key);
    }

    /** Stops it as an operator does. */
    public function stop(): void
    {
        $this->process->end(SIGTERM);
    }

    /** Ends it as a crash does. */
    public function kill(): void
    {
        $this->process->end(SIGKILL);
    }

    /** Returns its log. */
    public function log(): string
    {
        return $this->process->said();
    }

    /** Returns the path of the binary under test. */
    public static function binary(): string
    {
        $binary = getenv('FANWIRE_BIN') ?: __DIR__ . '/../../../target/debug/fanwire';
        if (!is_executable($binary)) {
            throw new \RuntimeException("There is no broker at $binary: build it with 'cargo build -p fanwire'.");
        }
        return (string) realpath($binary);
    }
}
