<?php

/** The routes of the room; a part of routes/web.php. */

use App\Http\Controllers\RoomController;
use Illuminate\Support\Facades\Route;

Route::middleware('auth')->group(function () {
    Route::get('/room', [RoomController::class, 'show']);
    Route::get('/room/token', [RoomController::class, 'token']);
    Route::post('/room/say', [RoomController::class, 'say']);
});

// The broker has neither a session nor a CSRF token; its signature is checked by HookServer.
Route::post('/hooks/fanwire', [RoomController::class, 'hooks'])->withoutMiddleware('web');
