<?php

/** The room: its page, the token of the page, publishing a message, and the callouts of the broker. */

declare(strict_types=1);

namespace App\Http\Controllers;

use Fanwire\Broker;
use Fanwire\Exception\FanwireException;
use Fanwire\Exception\Forbidden;
use Fanwire\HookServer;
use Fanwire\TokenSigner;
use Illuminate\Http\Request;
use Illuminate\Http\Response;

final class RoomController
{
    public function show()
    {
        return view('room', ['broker' => config('fanwire.public_url')]);
    }

    public function token(Request $request, TokenSigner $signer): Response
    {
        $user = $request->user();
        $token = $signer->sign((string) $user->getAuthIdentifier(), info: ['name' => $user->name]);
        return response($token, 200, ['Content-Type' => 'text/plain', 'Cache-Control' => 'no-store']);
    }

    public function say(Request $request, Broker $broker): Response
    {
        $form = $request->validate(['text' => 'required|string|max:500']);
        try {
            $broker->publish('room.lobby', ['name' => $request->user()->name, 'text' => $form['text']]);
        } catch (Forbidden $error) {
            return response($error->getMessage(), 422);
        } catch (FanwireException $error) {
            report($error);
            return response('That did not work. Please try again.', 503);
        }
        return response()->noContent();
    }

    public function hooks(Request $request, HookServer $hooks): Response
    {
        $answer = $hooks->handle($request->getContent(), (string) $request->header('Fanwire-Signature'));
        return response($answer->body, $answer->status, $answer->headers());
    }
}
