<?php

/**
 * Loads the classes of this package without Composer: `require 'fanwire/autoload.php';`. It knows the files of the
 * classes and nothing else.
 */

declare(strict_types=1);

spl_autoload_register(static function (string $class): void {
    $prefix = 'Fanwire\\';
    if (str_starts_with($class, $prefix)) {
        $file = __DIR__ . '/src/' . strtr(substr($class, strlen($prefix)), '\\', '/') . '.php';
        if (is_file($file)) {
            require $file;
        }
    }
});
