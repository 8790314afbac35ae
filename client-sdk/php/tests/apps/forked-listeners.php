<?php

/**
 * Forks in the middle of a listen() and continues it in both processes: php forked-listeners.php URL poll|stream [CA_FILE].
 * Each process prints the messages it received, up to 'end', on one line.
 */

declare(strict_types=1);

use Fanwire\Broker;
use Fanwire\Http\CurlTransport;

require __DIR__ . '/../../autoload.php';

$caFile = $argv[3] ?? null;
$broker = new Broker($argv[1], transport: new CurlTransport(caFile: $caFile));
$broker->publish('fork.listen', 'begin');
$name = 'parent';
$troubles = 0;
$pid = null;
$received = [];
$onTrouble = static function () use (&$troubles): void {
    $troubles++;
};
foreach ($broker->listen('fork.listen', 'earliest', onTrouble: $onTrouble, polling: $argv[2] === 'poll') as $message) {
    $received[] = $message->data . ($message->gap ? ' after a gap' : '');
    if ($message->data === 'end') {
        break;
    }
    if ($pid === null) {
        $pid = pcntl_fork();
        if ($pid === 0) {
            $name = 'child';
            continue;
        }
        $publisher = new Broker($argv[1], transport: new CurlTransport(caFile: $caFile));
        for ($number = 1; $number <= 50; $number++) {
            $publisher->publish('fork.listen', $number);
        }
        $publisher->publish('fork.listen', 'end');
    }
}
// In one piece, so that the lines of the two processes do not mix.
echo "$name: " . implode(' ', $received) . "\n";
if ($name === 'parent') {
    pcntl_waitpid($pid, $status);
    echo 'the child ended with ', pcntl_wexitstatus($status), ", the parent had $troubles troubles\n";
}
