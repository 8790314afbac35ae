<?php

/** The routes of the room. Add them to routes/web.php. */

use App\Http\Controllers\RoomController;
use Illuminate\Support\Facades\Route;

Route::middleware('auth')->group(function () {
    Route::get('/room', [RoomController::class, 'show']);
    Route::get('/room/token', [RoomController::class, 'token']);
    Route::post('/room/say', [RoomController::class, 'say']);
});

// The broker has no session and no CSRF token. HookServer checks its signature.
Route::post('/hooks/fanwire', [RoomController::class, 'hooks'])->withoutMiddleware('web');
