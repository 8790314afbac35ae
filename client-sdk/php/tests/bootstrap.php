<?php

/**
 * Loads what the tests need: the classes of the package, the tests' own, and the PSR packages of the distribution. It
 * knows their files and nothing else.
 */

declare(strict_types=1);

error_reporting(E_ALL);

require is_file(__DIR__ . '/../vendor/autoload.php') ? __DIR__ . '/../vendor/autoload.php' : __DIR__ . '/../autoload.php';

spl_autoload_register(static function (string $class): void {
    $prefix = 'Fanwire\\Tests\\';
    $file = __DIR__ . '/' . strtr(substr($class, strlen($prefix)), '\\', '/') . '.php';
    if (str_starts_with($class, $prefix) && is_file($file)) {
        require $file;
    }
});

// Debian's packages of a PSR-7 implementation and a PSR-18 client bring their own loaders.
foreach (['Nyholm/Psr7', 'GuzzleHttp'] as $package) {
    if (is_file("/usr/share/php/$package/autoload.php")) {
        require_once "/usr/share/php/$package/autoload.php";
    }
}
