<?php

/**
 * Owns answering the broker's hooks: who called, what is asked, which handler answers, and what a failing handler
 * means. It does not know of any framework; `serve` and `handlePsr` are the two ways in besides `handle`.
 */

declare(strict_types=1);

namespace Fanwire;

use Fanwire\Exception\BadConfiguration;
use Fanwire\Exception\BadSignature;
use Fanwire\Hooks\Answer;
use Fanwire\Hooks\Batch;
use Fanwire\Hooks\Call;
use Fanwire\Hooks\CallReader;
use Fanwire\Hooks\ConnectCall;
use Fanwire\Hooks\DisconnectEvent;
use Fanwire\Hooks\HookResponse;
use Fanwire\Hooks\MemberEvent;
use Fanwire\Hooks\PublishCall;
use Fanwire\Hooks\RequestCall;
use Fanwire\Hooks\Signature;
use Fanwire\Hooks\SubscribeCall;
use Fanwire\Hooks\TopicEvent;
use Psr\Http\Message\ResponseFactoryInterface;
use Psr\Http\Message\ResponseInterface;
use Psr\Http\Message\ServerRequestInterface;

/**
 * Your application's side of hooks (docs/hooks.md). Register what you are asked about, then let it answer:
 *
 *     $hooks = new HookServer($secret);
 *     $hooks->onMessage(fn (PublishCall $call) => trim($call->data) !== '');
 *     $hooks->serve();
 *
 * A handler of a question returns true, false, or an Answer made by the call (`$call->refuse('…')`). Whatever goes
 * wrong in one is a no to the client and is reported to you, never shown.
 *
 * A handler of an event (`onDisconnect` and those below it) returns nothing. If it throws, the broker tells the whole
 * batch again later, so an event may come twice, with the same id. Events without a handler are taken and forgotten.
 */
final class HookServer
{
    /** The largest call that is read, in bytes; the broker's own limits are far below. */
    public const BODY_BYTES_MAX = 64 * 1024 * 1024;

    private readonly Signature $signature;
    /** @var array<string, \Closure> handlers by the names of hooks */
    private array $handlers = [];
    private \Closure $report;

    /**
     * Takes `hooks.secret` of the broker, and while you change it, the one before.
     *
     * @throws BadConfiguration when one is too short
     */
    public function __construct(
        #[\SensitiveParameter] string $secret,
        #[\SensitiveParameter] ?string $oldSecret = null,
    ) {
        $this->signature = new Signature($secret, $oldSecret);
        $this->report = static function (\Throwable $error): void {
            // Without the trace, whose arguments are what users wrote.
            $place = basename($error->getFile()) . ':' . $error->getLine();
            error_log('fanwire hook: ' . get_class($error) . ": {$error->getMessage()} ($place)");
        };
    }

    /** @param callable(ConnectCall): (Answer|bool) $handler may somebody connect, and who are they? */
    public function onConnect(callable $handler): self
    {
        return $this->on('connect', $handler);
    }

    /** @param callable(SubscribeCall): (Answer|bool) $handler may somebody listen to a topic? */
    public function onSubscribe(callable $handler): self
    {
        return $this->on('subscribe', $handler);
    }

    /** @param callable(PublishCall): (Answer|bool) $handler may somebody publish this, or something else? */
    public function onMessage(callable $handler): self
    {
        return $this->on('publish', $handler);
    }

    /** @param callable(RequestCall): Answer $handler what is the answer to a client's question? */
    public function onRequest(callable $handler): self
    {
        return $this->on('request', $handler);
    }

    /** @param callable(DisconnectEvent): mixed $handler a connection is over */
    public function onDisconnect(callable $handler): self
    {
        return $this->on('disconnect', $handler);
    }

    /** @param callable(TopicEvent): mixed $handler a topic has got its first subscriber */
    public function onOccupied(callable $handler): self
    {
        return $this->on('occupied', $handler);
    }

    /** @param callable(TopicEvent): mixed $handler a topic has been without subscribers for a while */
    public function onVacated(callable $handler): self
    {
        return $this->on('vacated', $handler);
    }

    /** @param callable(MemberEvent): mixed $handler somebody has come to a topic with presence */
    public function onJoin(callable $handler): self
    {
        return $this->on('join', $handler);
    }

    /** @param callable(MemberEvent): mixed $handler somebody has left a topic with presence */
    public function onLeave(callable $handler): self
    {
        return $this->on('leave', $handler);
    }

    /**
     * Called before the events of a batch are handled one by one. It alone says whether some were lost, and whether the
     * broker has started anew.
     *
     * @param callable(Batch): mixed $handler
     */
    public function onBatch(callable $handler): self
    {
        return $this->on('tell', $handler);
    }

    /** @param callable(\Throwable): void $handler told what went wrong in a handler; error_log without it */
    public function onError(callable $handler): self
    {
        $this->report = $handler(...);
        return $this;
    }

    /**
     * Answers one call.
     *
     * @param string $body      the body exactly as it was received
     * @param string $signature the header Fanwire-Signature; '' if there is none
     */
    public function handle(string $body, string $signature): HookResponse
    {
        try {
            $this->signature->verify($signature, $body);
        } catch (BadSignature $error) {
            return new HookResponse(401, $error->getMessage() . "\n");
        }
        try {
            $fields = Payload::decode($body);
        } catch (\JsonException) {
            $fields = null;
        }
        if (!is_array($fields) || !is_string($fields['hook'] ?? null)) {
            return new HookResponse(400, "The call is no JSON object with a hook.\n");
        }
        if ($fields['hook'] === 'tell') {
            return $this->take(CallReader::batch($fields));
        }
        $call = CallReader::call($fields);
        $handler = $this->handlers[$fields['hook']] ?? null;
        if ($call === null || $handler === null) {
            return new HookResponse(501, "Nothing answers this hook: register a handler, or do not ask for it.\n");
        }
        try {
            return self::json(self::answer($handler($call), $call)->fields);
        } catch (\Throwable $error) {
            ($this->report)($error);
            return new HookResponse(500, "The handler of this hook failed.\n");
        }
    }

    /** Answers the call that this very request is, under php-fpm, Apache or `php -S`. */
    public function serve(): void
    {
        if (($_SERVER['REQUEST_METHOD'] ?? '') !== 'POST') {
            $response = new HookResponse(405, "This is for the broker, which sends POST.\n");
            header('Allow: POST');
        } else {
            $body = (string) file_get_contents('php://input', false, null, 0, self::BODY_BYTES_MAX);
            $response = $this->handle($body, (string) ($_SERVER['HTTP_FANWIRE_SIGNATURE'] ?? ''));
        }
        http_response_code($response->status);
        foreach ($response->headers() as $name => $value) {
            header("$name: $value");
        }
        echo $response->body;
    }

    /** Answers a PSR-7 request with a response of the application's own kind. */
    public function handlePsr(ServerRequestInterface $request, ResponseFactoryInterface $responses): ResponseInterface
    {
        $answer = $this->handle((string) $request->getBody(), $request->getHeaderLine(Signature::HEADER));
        $response = $responses->createResponse($answer->status);
        foreach ($answer->headers() as $name => $value) {
            $response = $response->withHeader($name, $value);
        }
        $response->getBody()->write($answer->body);
        return $response;
    }

    private function on(string $hook, callable $handler): self
    {
        $this->handlers[$hook] = $handler(...);
        return $this;
    }

    /** Handles what is told. The broker tells it again unless all of it was handled. */
    private function take(Batch $batch): HookResponse
    {
        try {
            ($this->handlers['tell'] ?? static fn () => null)($batch);
            foreach ($batch->events as [$hook, $event]) {
                ($this->handlers[$hook] ?? static fn () => null)($event);
            }
            return new HookResponse(204, '');
        } catch (\Throwable $error) {
            ($this->report)($error);
            return new HookResponse(500, "The handler of an event failed.\n");
        }
    }

    /** The answer that a handler has given, which must be one: a handler that forgot to return has decided nothing. */
    private static function answer(mixed $result, Call $call): Answer
    {
        $isReply = $result instanceof Answer || $result === false;
        if ($call instanceof RequestCall && !$isReply) {
            throw new \LogicException('A handler of onRequest returns $call->reply(…) or $call->refuse(…).');
        }
        return match (true) {
            $result instanceof Answer => $result,
            is_bool($result) => $result ? $call->allow() : $call->refuse(),
            default => throw new \LogicException(
                'A handler returns true, false or an answer made by the call; this one returned '
                . get_debug_type($result) . '.',
            ),
        };
    }

    /** @param array<string, mixed> $fields */
    private static function json(array $fields): HookResponse
    {
        return new HookResponse(200, Payload::encode($fields), 'application/json');
    }
}
