<?php

/** Makes the classes of fanwire/fanwire from config/fanwire.php. It does not know the classes that use them. */

declare(strict_types=1);

namespace App\Providers;

use App\RoomHooks;
use Fanwire\Broker;
use Fanwire\HookServer;
use Fanwire\TokenSigner;
use Illuminate\Support\ServiceProvider;

final class FanwireServiceProvider extends ServiceProvider
{
    public function register(): void
    {
        $this->app->singleton(Broker::class, fn () => new Broker(config('fanwire.url'), config('fanwire.key')));
        $this->app->singleton(TokenSigner::class, fn () => new TokenSigner((string) config('fanwire.secret')));
        $this->app->singleton(
            HookServer::class,
            fn ($app) => $app->make(RoomHooks::class)->server((string) config('fanwire.hooks_secret'))->onError(report(...)),
        );
    }
}
