<?php

/**
 * Reads the history of its own topics in each of four forked processes that have inherited one used Broker, and prints
 * what does not belong: php forked-readers.php URL [CA_FILE]. The last line is "right N, wrong N".
 */

declare(strict_types=1);

use Fanwire\Broker;
use Fanwire\Http\CurlTransport;

require __DIR__ . '/../../autoload.php';

const PROCESSES = 4;
const TOPICS = 15;

$broker = new Broker($argv[1], transport: new CurlTransport(caFile: $argv[2] ?? null));
for ($process = 0; $process < PROCESSES; $process++) {
    for ($number = 0; $number < TOPICS; $number++) {
        $broker->publish("fork.$process.$number", "$process.$number");
    }
}
$children = [];
for ($process = 0; $process < PROCESSES; $process++) {
    $pid = pcntl_fork();
    if ($pid === 0) {
        $wrong = 0;
        for ($number = 0; $number < TOPICS; $number++) {
            $message = $broker->history("fork.$process.$number")->messages[0];
            if ([$message->topic, $message->data] !== ["fork.$process.$number", "$process.$number"]) {
                echo "process $process asked for fork.$process.$number and received {$message->topic}\n";
                $wrong++;
            }
        }
        exit($wrong);
    }
    $children[] = $pid;
}
$right = 0;
$wrong = 0;
foreach ($children as $pid) {
    // The parent keeps publishing while its children read and end.
    $broker->publish('fork.parent', $pid);
    pcntl_waitpid($pid, $status);
    $wrong += pcntl_wifexited($status) ? pcntl_wexitstatus($status) : TOPICS;
    $right += TOPICS;
    $broker->publish('fork.parent', -$pid);
}
$held = count($broker->history('fork.parent'));
echo 'right ', $right - $wrong, ", wrong $wrong, published by the parent $held\n";
