<?php

/**
 * What every script of this site needs: the client, the URL of the broker, the site's API key, and the name of the visitor.
 */

declare(strict_types=1);

// The class loader of Composer; in a checkout of fanwire, that of the package.
$loader = __DIR__ . '/vendor/autoload.php';
require is_file($loader) ? $loader : __DIR__ . '/../../../client-sdk/php/autoload.php';

/** Returns the broker. The key is from `fanwire token key`. */
function broker(): Fanwire\Broker
{
    return new Fanwire\Broker(getenv('BROKER_URL') ?: 'http://localhost:7400', getenv('BROKER_KEY') ?: null);
}

/** Returns the URL of the broker for browsers. Behind a proxy on the same host it is a path, such as /live. */
function broker_for_browsers(): string
{
    return getenv('BROKER_PUBLIC_URL') ?: 'http://localhost:7400';
}

/** Returns the name of the visitor, or null before the visitor has entered one. Your site returns its signed-in user. */
function visitor(): ?string
{
    session_status() === PHP_SESSION_ACTIVE || session_start(['cookie_samesite' => 'Lax', 'cookie_httponly' => true]);
    return $_SESSION['name'] ?? null;
}
