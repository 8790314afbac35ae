<?php

/**
 * Serves the decisions that the Laravel and Symfony applications of docs/php.md share. It does not know the frameworks.
 */

declare(strict_types=1);

require __DIR__ . '/../../autoload.php';
require __DIR__ . '/../../../../examples/php/framework/RoomHooks.php';

(new App\RoomHooks())->server((string) getenv('HOOKS_SECRET'))->serve();
