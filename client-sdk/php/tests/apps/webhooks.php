<?php

/**
 * An application that writes the webhook events it receives to the file that EVENTS names, one line of JSON each. It fails
 * to handle the first batch, so that the broker must send it again.
 */

declare(strict_types=1);

use Fanwire\HookServer;
use Fanwire\Hooks\Batch;
use Fanwire\Hooks\Event;

require __DIR__ . '/../../autoload.php';

$file = (string) getenv('EVENTS');
$note = static function (string $hook) use ($file): Closure {
    return static function (Event $event) use ($hook, $file): void {
        file_put_contents($file, json_encode(['hook' => $hook] + get_object_vars($event)) . "\n", FILE_APPEND);
    };
};

$hooks = new HookServer((string) getenv('HOOKS_SECRET'));
$hooks
    ->onBatch(static function (Batch $batch) use ($file): void {
        if (!is_file($file)) {
            touch($file);
            throw new RuntimeException('not ready');
        }
        error_log("batch attempt {$batch->attempt} lost {$batch->lost}");
    })
    ->onDisconnect($note('disconnect'))
    ->onOccupied($note('occupied'))
    ->onVacated($note('vacated'))
    ->onJoin($note('join'))
    ->onLeave($note('leave'))
    ->serve();
