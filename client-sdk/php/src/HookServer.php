<?php

/**
 * Owns the application's side of callouts and webhooks: checking the signature, choosing the handler, and the response
 * when a handler fails. It does not know any framework; `serve` and `handlePsr` are entries besides `handle`.
 */

declare(strict_types=1);

namespace Fanwire;

use Fanwire\Exception\BadConfiguration;
use Fanwire\Exception\BadSignature;
use Fanwire\Hooks\Answer;
use Fanwire\Hooks\Batch;
use Fanwire\Hooks\Callout;
use Fanwire\Hooks\HookReader;
use Fanwire\Hooks\ConnectCallout;
use Fanwire\Hooks\DisconnectEvent;
use Fanwire\Hooks\HookResponse;
use Fanwire\Hooks\MemberEvent;
use Fanwire\Hooks\PublishCallout;
use Fanwire\Hooks\RequestCallout;
use Fanwire\Hooks\Signature;
use Fanwire\Hooks\SubscribeCallout;
use Fanwire\Hooks\TopicEvent;
use Psr\Http\Message\ResponseFactoryInterface;
use Psr\Http\Message\ResponseInterface;
use Psr\Http\Message\ServerRequestInterface;

/**
 * The application's side of callouts and webhooks (docs/hooks.md). Register a handler for each kind, then serve:
 *
 *     $hooks = new HookServer($secret);
 *     $hooks->onMessage(fn (PublishCallout $callout) => trim($callout->data) !== '');
 *     $hooks->serve();
 *
 * A handler of a callout returns true, false, or an Answer that a method of the callout made
 * (`$callout->refuse('…')`). If it throws, the client is refused, and the error is reported to you only.
 *
 * A handler of a webhook event (`onDisconnect` and those below it) returns nothing. If it throws, the broker sends the
 * whole batch again later, so an event may come twice, with the same id. Events without a handler are ignored.
 */
final class HookServer
{
    /** The maximum size of a body, in bytes; the broker's own limits are far below. */
    public const BODY_BYTES_MAX = 64 * 1024 * 1024;

    private readonly Signature $signature;
    /** @var array<string, \Closure> handlers by the kind of callout or event */
    private array $handlers = [];
    private \Closure $report;

    /**
     * Takes `hooks.secret` of the broker, and while you replace the secret, the secret before.
     *
     * @throws BadConfiguration when a secret is too short
     */
    public function __construct(
        #[\SensitiveParameter] string $secret,
        #[\SensitiveParameter] ?string $oldSecret = null,
    ) {
        $this->signature = new Signature($secret, $oldSecret);
        $this->report = static function (\Throwable $error): void {
            // Without the trace: its arguments are what users wrote.
            $place = basename($error->getFile()) . ':' . $error->getLine();
            error_log('fanwire hook: ' . get_class($error) . ": {$error->getMessage()} ($place)");
        };
    }

    /** @param callable(ConnectCallout): (Answer|bool) $handler may the client connect, and as which user? */
    public function onConnect(callable $handler): self
    {
        return $this->on('connect', $handler);
    }

    /** @param callable(SubscribeCallout): (Answer|bool) $handler may the client subscribe to the topic? */
    public function onSubscribe(callable $handler): self
    {
        return $this->on('subscribe', $handler);
    }

    /** @param callable(PublishCallout): (Answer|bool) $handler may the client publish this payload, or another? */
    public function onMessage(callable $handler): self
    {
        return $this->on('publish', $handler);
    }

    /** @param callable(RequestCallout): Answer $handler the response to the client's request */
    public function onRequest(callable $handler): self
    {
        return $this->on('request', $handler);
    }

    /** @param callable(DisconnectEvent): mixed $handler a connection has ended */
    public function onDisconnect(callable $handler): self
    {
        return $this->on('disconnect', $handler);
    }

    /** @param callable(TopicEvent): mixed $handler a topic has its first subscriber */
    public function onOccupied(callable $handler): self
    {
        return $this->on('occupied', $handler);
    }

    /** @param callable(TopicEvent): mixed $handler a topic has had no subscriber for a while */
    public function onVacated(callable $handler): self
    {
        return $this->on('vacated', $handler);
    }

    /** @param callable(MemberEvent): mixed $handler a member has joined a topic with presence */
    public function onJoin(callable $handler): self
    {
        return $this->on('join', $handler);
    }

    /** @param callable(MemberEvent): mixed $handler a member has left a topic with presence */
    public function onLeave(callable $handler): self
    {
        return $this->on('leave', $handler);
    }

    /**
     * Registers the handler that runs before the events of a batch are handled one by one. Only the batch reports whether
     * events were lost, and whether the broker has restarted.
     *
     * @param callable(Batch): mixed $handler
     */
    public function onBatch(callable $handler): self
    {
        return $this->on('tell', $handler);
    }

    /** @param callable(\Throwable): void $handler receives what a handler threw; without it error_log does */
    public function onError(callable $handler): self
    {
        $this->report = $handler(...);
        return $this;
    }

    /**
     * Handles one request of the broker.
     *
     * @param string $body      the body exactly as it was received
     * @param string $signature the header Fanwire-Signature; '' if it is missing
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
            return new HookResponse(400, "The body is not a JSON object with a field hook.\n");
        }
        if ($fields['hook'] === 'tell') {
            return $this->deliver(HookReader::batch($fields));
        }
        $callout = HookReader::callout($fields);
        $handler = $this->handlers[$fields['hook']] ?? null;
        if ($callout === null || $handler === null) {
            return new HookResponse(501, "This kind of callout has no handler: register one, or take it out of hooks.callouts.\n");
        }
        try {
            return self::json(self::answer($handler($callout), $callout)->fields);
        } catch (\Throwable $error) {
            ($this->report)($error);
            return new HookResponse(500, "The handler of this callout failed.\n");
        }
    }

    /** Handles the current request, under php-fpm, Apache or `php -S`. */
    public function serve(): void
    {
        if (($_SERVER['REQUEST_METHOD'] ?? '') !== 'POST') {
            $response = new HookResponse(405, "This address is for the broker, which sends POST.\n");
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

    /** Handles a PSR-7 request, with a response of your own factory. */
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

    /** Passes the events to their handlers. Unless all of them succeed, the broker sends the batch again. */
    private function deliver(Batch $batch): HookResponse
    {
        try {
            ($this->handlers['tell'] ?? static fn () => null)($batch);
            foreach ($batch->events as [$hook, $event]) {
                ($this->handlers[$hook] ?? static fn () => null)($event);
            }
            return new HookResponse(204, '');
        } catch (\Throwable $error) {
            ($this->report)($error);
            return new HookResponse(500, "The handler of a webhook event failed.\n");
        }
    }

    /** Returns the answer of a handler. A handler without a return value has decided nothing, which is an error. */
    private static function answer(mixed $result, Callout $callout): Answer
    {
        $isReply = $result instanceof Answer || $result === false;
        if ($callout instanceof RequestCallout && !$isReply) {
            throw new \LogicException('A handler of onRequest returns $callout->reply(…) or $callout->refuse(…).');
        }
        return match (true) {
            $result instanceof Answer => $result,
            is_bool($result) => $result ? $callout->allow() : $callout->refuse(),
            default => throw new \LogicException(
                'A handler returns true, false or an answer that a method of the callout made; this one returned '
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
