<?php

/**
 * An application that writes down what it is told, one line of JSON each, in the file TOLD names. The first batch it hears it
 * fails to handle, so that it must be told again.
 */

declare(strict_types=1);

use Fanwire\HookServer;
use Fanwire\Hooks\Batch;
use Fanwire\Hooks\Event;

require __DIR__ . '/../../autoload.php';

$file = (string) getenv('TOLD');
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
