<?php

/**
 * docs/php.md tells the truth: what it quotes stands in files that are tested, what it writes itself is sound PHP and calls
 * what exists, and its way of installing works.
 */

declare(strict_types=1);

namespace Fanwire\Tests;

use Fanwire\Broker;
use Fanwire\Exception\FanwireException;
use Fanwire\Publication;
use Fanwire\TokenSigner;
use PHPUnit\Framework\TestCase;

final class DocsTest extends TestCase
{
    private const ROOT = __DIR__ . '/../../..';

    /** @return array<string, array{string, string|null, string}> language, origin and text of each block by its line */
    public function blocks(): array
    {
        $blocks = [];
        $origin = null;
        $lines = (array) file(self::ROOT . '/docs/php.md', FILE_IGNORE_NEW_LINES);
        for ($number = 0; $number < count($lines); $number++) {
            if (preg_match('/^<!-- from: (\S+) -->$/', (string) $lines[$number], $match) === 1) {
                $origin = $match[1];
            } elseif (preg_match('/^```(\w+)$/', (string) $lines[$number], $match) === 1) {
                $begin = ++$number;
                while ($lines[$number] !== '```') {
                    $number++;
                }
                $text = implode("\n", array_slice($lines, $begin, $number - $begin)) . "\n";
                $blocks["line $begin"] = [$match[1], $origin, $text];
                $origin = null;
            }
        }
        return $blocks;
    }

    /** @dataProvider blocks */
    public function testWhatIsQuotedStandsInItsFile(string $language, ?string $origin, string $text): void
    {
        if ($origin !== null) {
            self::assertStringContainsString($text, (string) file_get_contents(self::ROOT . "/$origin"));
            return;
        }
        self::assertContains($language, ['sh', 'php'], 'A block of this language names the file it is from.');
        if ($language === 'php') {
            $file = (string) tempnam(sys_get_temp_dir(), 'fanwire');
            file_put_contents($file, "<?php\n$text");
            exec(escapeshellarg(PHP_BINARY) . ' -l ' . escapeshellarg($file) . ' 2>&1', $output, $code);
            unlink($file);
            self::assertSame(0, $code, implode("\n", $output));
        }
    }

    public function testWhatThePageWritesItselfRuns(): void
    {
        $running = new RunningBroker(RunningBroker::secured("[[topic]]\nmatch = \"room.*\"\npresence = true\n"));
        $ran = 0;
        foreach ($this->blocks() as $place => [$language, $origin, $text]) {
            if ($language !== 'php' || $origin !== null) {
                continue;
            }
            // The worker never ends by itself: here it handles one message.
            $text = str_replace('handle($message->data);', 'if ($message->data === "end") { break; }', $text);
            $this->execute($text, $running->client(RunningBroker::KEY), $place);
            $ran++;
        }
        self::assertGreaterThanOrEqual(5, $ran);
    }

    private function execute(string $text, Broker $broker, string $place): void
    {
        $secret = RunningBroker::SECRET;
        $cursor = null;
        if (str_contains($text, '->listen(')) {
            $cursor = 'earliest';
            $broker->publishMany([new Publication('orders.new', 'begin'), new Publication('orders.new', 'end')]);
        }
        ob_start();
        try {
            eval($text);
            self::assertInstanceOf(Broker::class, $broker);
            self::assertGreaterThanOrEqual(TokenSigner::SECRET_BYTES_MIN, strlen($secret));
        } catch (FanwireException $error) {
            self::fail("The block at $place: {$error->getMessage()}");
        } finally {
            ob_end_clean();
        }
    }

    public function testEveryExceptionIsExplained(): void
    {
        $page = (string) file_get_contents(self::ROOT . '/docs/php.md');
        foreach ((array) glob(__DIR__ . '/../src/Exception/*.php') as $file) {
            self::assertStringContainsString('`' . basename((string) $file, '.php') . '`', $page . '`FanwireException`');
        }
        preg_match_all('/`?(?:Broker|HookServer)::(\w+)|`(on[A-Z]\w+)/', $page, $matches);
        $handlers = array_filter([...$matches[1], ...$matches[2]]);
        $known = [...get_class_methods(\Fanwire\HookServer::class), ...get_class_methods(Broker::class)];
        $foreign = ['class', 'onOpen', 'onClose', 'onGap', 'onTrouble'];
        self::assertSame([], array_values(array_diff($handlers, $known, $foreign)));
    }

    public function testEveryPhpFileOfTheExamplesIsSound(): void
    {
        $files = new \RecursiveIteratorIterator(new \RecursiveDirectoryIterator(self::ROOT . '/examples'));
        $count = 0;
        foreach ($files as $file) {
            if (str_ends_with((string) $file, '.php')) {
                exec(escapeshellarg(PHP_BINARY) . ' -l ' . escapeshellarg((string) $file) . ' 2>&1', $output, $code);
                self::assertSame(0, $code, implode("\n", $output));
                $count++;
            }
        }
        self::assertGreaterThan(10, $count);
    }

    public function testDecisionsOfTheFrameworksApplicationsAreAskedByTheBroker(): void
    {
        $application = new PhpServer(__DIR__ . '/apps/room-hooks.php', ['HOOKS_SECRET' => 'hooks of these tests']);
        $running = new RunningBroker(RunningBroker::secured(sprintf(
            "[hooks]\nurl = \"%s/\"\nsecret = \"hooks of these tests\"\ncallouts = [\"subscribe\", \"publish\", \"request\"]\n"
            . "[[topic]]\nmatch = \"room.*\"\nsubscribe = \"authenticated\"\npublish = \"authenticated\"\n",
            $application->url,
        )));
        self::assertFileExists(self::ROOT . '/examples/php/framework/RoomHooks.php');
        $signer = new TokenSigner(RunningBroker::SECRET);
        $ann = new PlainSocket($running->port, $signer->sign('ann'));
        $ann->say(['type' => 'subscribe', 'id' => 1, 'topic' => 'room.a']);
        $ann->await('subscribed');
        $ann->say(['type' => 'publish', 'id' => 2, 'topic' => 'room.a', 'data' => ['text' => 'hi', 'name' => 'bob']]);
        self::assertSame(['name' => 'ann', 'text' => 'hi'], $ann->await('message')['data']);
        $ann->say(['type' => 'request', 'id' => 3, 'method' => 'time', 'data' => null]);
        self::assertArrayHasKey('time', $ann->await('response')['data']);
        $mallory = new PlainSocket($running->port, $signer->sign('Mallory'));
        $mallory->say(['type' => 'subscribe', 'id' => 1, 'topic' => 'room.a']);
        self::assertSame('You have been asked to leave.', $mallory->await('error')['message']);
    }

    public function testComposerInstallsThePackageFromACheckout(): void
    {
        $folder = sys_get_temp_dir() . '/fanwire-project-' . getmypid();
        mkdir($folder);
        file_put_contents("$folder/composer.json", '{"repositories": {"packagist.org": false}}');
        $commands = array_values(array_filter(
            explode("\n", $this->blocks()['line ' . $this->lineOf('composer config')][2]),
        ));
        self::assertCount(2, $commands);
        $package = (string) realpath(__DIR__ . '/..');
        foreach ($commands as $command) {
            $command = str_replace('/path/to/fanwire/client-sdk/php', escapeshellarg($package), $command);
            $home = 'COMPOSER_HOME=' . escapeshellarg("$folder/home");
            exec("cd $folder && $home COMPOSER_ALLOW_SUPERUSER=1 COMPOSER_DISABLE_NETWORK=1 $command -n 2>&1", $output, $code);
            self::assertSame(0, $code, "$command\n" . implode("\n", $output));
        }
        $script = 'require "vendor/autoload.php"; echo Fanwire\Broker::class, class_exists("Fanwire\\Broker");';
        exec("cd $folder && " . escapeshellarg(PHP_BINARY) . ' -r ' . escapeshellarg($script), $said, $code);
        exec('rm -rf ' . escapeshellarg($folder));
        self::assertSame(['Fanwire\Broker1'], $said);
    }

    public function testSiteStartsAsThePageSays(): void
    {
        $blocks = $this->blocks();
        $make = $blocks['line ' . $this->lineOf('umask')][2];
        $serve = $blocks['line ' . $this->lineOf('FANWIRE_AUTH_SECRET=')][2];
        $site = $blocks['line ' . $this->lineOf('BROKER_SECRET=')][2];
        $ports = [PhpServer::freePort(), PhpServer::freePort()];
        $replace = static fn (string $text): string => strtr($text, [
            'target/release/fanwire serve' => "exec target/release/fanwire serve --listen 127.0.0.1:$ports[1]",
            'PHP_CLI_SERVER_WORKERS' => "BROKER_URL=http://127.0.0.1:$ports[1] PHP_CLI_SERVER_WORKERS",
            'localhost:8000' => "localhost:$ports[0]",
        ]);
        $folder = sys_get_temp_dir() . '/fanwire-docs-' . getmypid();
        mkdir("$folder/target/release", 0777, true);
        symlink(RunningBroker::binary(), "$folder/target/release/fanwire");
        symlink((string) realpath(self::ROOT . '/examples'), "$folder/examples");
        exec("cd $folder && sh -euc " . escapeshellarg($make) . ' 2>&1', $output, $code);
        self::assertSame(0, $code, implode("\n", $output));
        $configuration = $replace((string) file_get_contents("$folder/broker.toml"));
        file_put_contents("$folder/broker.toml", $configuration);
        $broker = new Process(['sh', '-c', "cd $folder && {$replace($serve)}"]);
        $broker->await('~listening~');
        $php = new Process(['sh', '-c', "cd $folder && {$replace($site)}"]);
        $php->await('~started~');
        $ann = new Visitor("http://localhost:$ports[0]");
        $ann->post('/index.php', ['name' => 'Ann']);
        self::assertSame("Delivered to 0 subscribers\n", $ann->post('/say.php', ['text' => 'Hello']));
        $socket = new PlainSocket($ports[1], $ann->get('/token.php'));
        $socket->say(['type' => 'subscribe', 'id' => 1, 'topic' => 'room.lobby', 'last' => 1]);
        self::assertSame('Hello', $socket->await('message')['data']['text'], 'The broker has asked the site, which said yes.');
        exec('rm -rf ' . escapeshellarg($folder));
    }

    private function lineOf(string $text): int
    {
        foreach ((array) file(self::ROOT . '/docs/php.md') as $number => $line) {
            if (str_starts_with((string) $line, $text)) {
                return $number;
            }
        }
        self::fail("The page does not say '$text' any more.");
    }
}
