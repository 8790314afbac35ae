<?php

/**
 * What every script of this site needs: the client, where the broker is, what the site shares with it, and who the visitor
 * is. It owns no page.
 */

declare(strict_types=1);

// With Composer: require __DIR__ . '/../vendor/autoload.php';
require __DIR__ . '/../../../client-sdk/php/autoload.php';

/** The broker, as this site's scripts reach it. The key is from `fanwire token key`. */
function broker(): Fanwire\Broker
{
    return new Fanwire\Broker(getenv('BROKER_URL') ?: 'http://localhost:7400', getenv('BROKER_KEY') ?: null);
}

/** Where browsers reach the broker: behind a proxy on this very host, write '/live' or the like. */
function broker_for_browsers(): string
{
    return getenv('BROKER_PUBLIC_URL') ?: 'http://localhost:7400';
}

/** Who the visitor is: here the name they gave, in your site whoever has signed in. Null is nobody. */
function visitor(): ?string
{
    session_status() === PHP_SESSION_ACTIVE || session_start(['cookie_samesite' => 'Lax', 'cookie_httponly' => true]);
    return $_SESSION['name'] ?? null;
}
