<?php

/**
 * docs/php.md and the PHP of README.md: a block is a whole file, byte by byte; blocks of their own run as they are printed,
 * in a folder in which Composer has installed the package as the page says.
 */

declare(strict_types=1);

namespace Fanwire\Tests;

use Fanwire\Broker;
use Fanwire\TokenSigner;
use PHPUnit\Framework\TestCase;

final class DocsTest extends TestCase
{
    private const ROOT = __DIR__ . '/../../..';
    private const PAGES = ['docs/php.md', 'README.md', 'client-sdk/php/README.md'];
    /** The address of the broker in blocks. It is the only text that is replaced before a block runs. */
    private const ADDRESS = 'localhost:7400';

    private static ?string $project = null;

    public static function tearDownAfterClass(): void
    {
        if (self::$project !== null) {
            exec('rm -rf ' . escapeshellarg(self::$project));
        }
    }

    /** @return array<string, array{string, string|null, string}> language, origin and text of each block, by page and line */
    public function blocks(): array
    {
        return array_merge(...array_map(self::blocksOf(...), self::PAGES));
    }

    /** @return array<string, array{string, string|null, string}> */
    private static function blocksOf(string $page): array
    {
        $blocks = [];
        $origin = null;
        $lines = (array) file(self::ROOT . "/$page", FILE_IGNORE_NEW_LINES);
        for ($number = 0; $number < count($lines); $number++) {
            if (preg_match('/^<!-- from: (\S+) -->$/', (string) $lines[$number], $match) === 1) {
                $origin = $match[1];
            } elseif (preg_match('/^```(\w+)$/', (string) $lines[$number], $match) === 1) {
                $begin = ++$number;
                while ($lines[$number] !== '```') {
                    $number++;
                }
                $text = implode("\n", array_slice($lines, $begin, $number - $begin)) . "\n";
                $blocks["$page:$begin"] = [$match[1], $origin, $text];
                $origin = null;
            }
        }
        return $blocks;
    }

    /** @dataProvider blocks */
    public function testPhpBlockIsAWholeFileAndOtherBlocksAreAPartOfTheirFile(string $language, ?string $origin, string $text): void
    {
        $file = $origin === null ? null : (string) file_get_contents(self::ROOT . "/$origin");
        if ($language === 'php') {
            self::assertStringStartsWith("<?php\n", $text);
            self::assertSame($file ?? $text, $text, "The block is not the whole of $origin.");
            if ($origin === null || str_contains($text, 'new Fanwire\Broker')) {
                self::assertStringContainsString("__DIR__ . '/vendor/autoload.php'", $text);
            }
            $copy = self::project() . '/syntax.php';
            file_put_contents($copy, $text);
            exec(escapeshellarg(PHP_BINARY) . ' -l ' . escapeshellarg($copy) . ' 2>&1', $output, $code);
            self::assertSame(0, $code, implode("\n", $output));
        } elseif ($file !== null) {
            self::assertStringContainsString($text, $file);
        } else {
            self::assertSame('sh', $language, 'A block of this language names the file it is from.');
        }
    }

    public function testBlocksWithoutAFileRunAsTheyArePrinted(): void
    {
        $running = new RunningBroker(RunningBroker::secured("[[topic]]\nmatch = \"room.*\"\npresence = true\n"));
        $running->client(RunningBroker::KEY)->publish('room.lobby', ['text' => 'Hello']);
        $outputs = [];
        foreach ($this->blocks() as $place => [$language, $origin, $text]) {
            if ($language !== 'php' || $origin !== null || str_contains($text, '->listen(')) {
                continue;
            }
            $outputs[$place] = $this->runBlock($text, $running, $place);
        }
        self::assertGreaterThanOrEqual(7, count($outputs));
        $all = implode('', $outputs);
        self::assertStringContainsString("Delivered to 0 subscribers\n", $all);
        self::assertStringContainsString("1 messages\n1 messages\n", $all);
        self::assertMatchesRegularExpression('/^\d\d:\d\d \{"text":"Hello"\}$/m', $all);
        self::assertMatchesRegularExpression('/^eyJ\S+\neyJ\S+$/m', $all);
    }

    public function testWorkerContinuesAfterItsLastMessage(): void
    {
        $running = new RunningBroker(RunningBroker::secured());
        $broker = $running->client(RunningBroker::KEY);
        $blocks = array_filter($this->blocks(), static fn (array $block) => str_contains($block[2], '->listen('));
        self::assertCount(1, $blocks);
        $script = $this->write(array_values($blocks)[0][2], $running);
        $worker = new Process([PHP_BINARY, $script], ['BROKER_KEY' => RunningBroker::KEY]);
        // The first run begins with live messages: publish until it has subscribed.
        $deadline = microtime(true) + 20;
        while (!str_contains($worker->said(), 'orders.new') && microtime(true) < $deadline) {
            $last = $broker->publish('orders.new', ['id' => 1]);
            usleep(20_000);
        }
        $broker->publish('orders.paid', 'last of the first run');
        $worker->await('/^orders\.new \{"id":1\}$/m');
        $worker->await('/^orders\.paid "last of the first run"$/m');
        // The cursor is written after the message is printed.
        $file = dirname($script) . '/orders.cursor';
        $written = (string) file_get_contents($file);
        $broker->publish('orders.paid', 'written');
        $worker->await('/written/');
        while (file_get_contents($file) === $written && microtime(true) < $deadline) {
            usleep(5_000);
        }
        $worker->end(SIGKILL);
        $broker->publish('orders.paid', 'between the runs');
        $again = new Process([PHP_BINARY, $script], ['BROKER_KEY' => RunningBroker::KEY]);
        $again->await('/between the runs/');
        self::assertStringNotContainsString('first run', $again->said());
    }

    /** Runs a block and returns its output. Warnings and errors of PHP fail the test. */
    private function runBlock(string $text, RunningBroker $running, string $place): string
    {
        $options = '-d error_reporting=-1 -d display_errors=stderr -d log_errors=0';
        $secrets = 'BROKER_KEY=' . RunningBroker::KEY . ' BROKER_SECRET=' . escapeshellarg(RunningBroker::SECRET);
        $command = "$secrets " . escapeshellarg(PHP_BINARY) . " $options " . escapeshellarg($this->write($text, $running));
        exec("$command 2>" . self::project() . '/errors', $output, $code);
        self::assertSame('', file_get_contents(self::project() . '/errors'), "The block at $place.");
        self::assertSame(0, $code, "The block at $place.");
        return implode("\n", $output) . "\n";
    }

    private function write(string $text, RunningBroker $running): string
    {
        $file = self::project() . '/block.php';
        file_put_contents($file, str_replace(self::ADDRESS, "127.0.0.1:{$running->port}", $text));
        return $file;
    }

    /** Returns a folder in which the package is installed by the commands of docs/php.md for a new folder. */
    private static function project(): string
    {
        if (self::$project === null) {
            self::$project = sys_get_temp_dir() . '/fanwire-project-' . getmypid();
            mkdir(self::$project);
            self::compose(self::$project, 'composer init');
        }
        return self::$project;
    }

    /** Runs the block of docs/php.md that begins with the text, with the path of this checkout. */
    private static function compose(string $folder, string $begin): void
    {
        $package = (string) realpath(__DIR__ . '/..');
        $commands = str_replace('/path/to/fanwire/client-sdk/php', $package, self::shellBlock($begin));
        $environment = 'COMPOSER_HOME=' . escapeshellarg("$folder/home") . ' COMPOSER_ALLOW_SUPERUSER=1 COMPOSER_DISABLE_NETWORK=1';
        exec("cd $folder && $environment sh -euc " . escapeshellarg($commands) . ' 2>&1', $output, $code);
        self::assertSame(0, $code, implode("\n", $output));
        $script = 'require "vendor/autoload.php"; echo Fanwire\Broker::class, class_exists("Fanwire\\Broker");';
        exec("cd $folder && " . escapeshellarg(PHP_BINARY) . ' -r ' . escapeshellarg($script), $said, $code);
        self::assertSame(['Fanwire\Broker1'], $said);
    }

    private static function shellBlock(string $begin): string
    {
        foreach (self::blocksOf('docs/php.md') as [$language, , $text]) {
            if ($language === 'sh' && str_starts_with($text, $begin)) {
                return $text;
            }
        }
        self::fail("docs/php.md has no block that begins with '$begin'.");
    }

    public function testPackageIsInstalledInAProject(): void
    {
        $folder = sys_get_temp_dir() . '/fanwire-existing-' . getmypid();
        mkdir($folder);
        file_put_contents("$folder/composer.json", '{"repositories": {"packagist.org": false}}');
        self::compose($folder, 'composer config');
        exec('rm -rf ' . escapeshellarg($folder));
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

    public function testRoomHooksAnswersCallouts(): void
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

    public function testSiteStartsAsThePageSays(): void
    {
        $folder = sys_get_temp_dir() . '/fanwire-docs-' . getmypid();
        mkdir($folder);
        symlink((string) realpath(self::ROOT . '/examples'), "$folder/examples");
        $this->talk($folder, static fn (string $command): string => $command);
        exec('rm -rf ' . escapeshellarg($folder));
    }

    public function testFilesOfThePageAreASite(): void
    {
        $folder = sys_get_temp_dir() . '/fanwire-pasted-' . getmypid();
        mkdir($folder);
        self::compose($folder, 'composer init');
        foreach (self::blocksOf('docs/php.md') as [, $origin, $text]) {
            if (str_starts_with((string) $origin, 'examples/php/site/') && str_ends_with((string) $origin, '.php')) {
                file_put_contents("$folder/" . basename((string) $origin), $text);
            }
        }
        self::assertCount(5, (array) glob("$folder/*.php"));
        mkdir("$folder/examples/php/site", 0777, true);
        copy(self::ROOT . '/examples/php/site/broker.toml', "$folder/examples/php/site/broker.toml");
        $this->talk($folder, static fn (string $command): string => str_replace(' -t examples/php/site', '', $command));
        exec('rm -rf ' . escapeshellarg($folder));
    }

    /**
     * Starts the site in a folder by the commands of the page; a visitor enters, publishes, and receives the message.
     *
     * @param \Closure(string): string $serve makes the command that starts the site
     */
    private function talk(string $folder, \Closure $serve): void
    {
        $ports = [PhpServer::freePort(), PhpServer::freePort()];
        $replace = static fn (string $text): string => strtr($text, [
            'target/release/fanwire serve' => "exec target/release/fanwire serve --listen 127.0.0.1:$ports[1]",
            'PHP_CLI_SERVER_WORKERS' => "BROKER_URL=http://127.0.0.1:$ports[1] PHP_CLI_SERVER_WORKERS",
            'localhost:8000' => "localhost:$ports[0]",
        ]);
        mkdir("$folder/target/release", 0777, true);
        symlink(RunningBroker::binary(), "$folder/target/release/fanwire");
        exec("cd $folder && sh -euc " . escapeshellarg(self::shellBlock('umask')) . ' 2>&1', $output, $code);
        self::assertSame(0, $code, implode("\n", $output));
        file_put_contents("$folder/broker.toml", $replace((string) file_get_contents("$folder/broker.toml")));
        $broker = new Process(['sh', '-c', "cd $folder && {$replace(self::shellBlock('FANWIRE_AUTH_SECRET='))}"]);
        $broker->await('~listening~');
        $php = new Process(['sh', '-c', "cd $folder && {$replace($serve(self::shellBlock('BROKER_SECRET=')))}"]);
        $php->await('~started~');
        $ann = new Visitor("http://localhost:$ports[0]");
        $ann->post('/index.php', ['name' => 'Ann']);
        self::assertSame("Delivered to 0 subscribers\n", $ann->post('/say.php', ['text' => 'Hello']));
        $socket = new PlainSocket($ports[1], $ann->get('/token.php'));
        $socket->say(['type' => 'subscribe', 'id' => 1, 'topic' => 'room.lobby', 'last' => 1]);
        self::assertSame('Hello', $socket->await('message')['data']['text'], 'hooks.php allowed the subscription.');
    }
}
