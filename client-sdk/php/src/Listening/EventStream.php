<?php

/**
 * Owns subscriptions over Server-Sent Events. It does not know when to reconnect.
 */

declare(strict_types=1);

namespace Fanwire\Listening;

use Fanwire\Exception\UnexpectedAnswer;
use Fanwire\Exception\Unreachable;
use Fanwire\Http\Answer;
use Fanwire\Http\Caller;
use Fanwire\Http\CurlStream;
use Fanwire\Http\CurlTransport;
use Fanwire\Http\Request;
use Fanwire\Payload;

/**
 * Subscribes over an event stream.
 *
 * @internal
 */
final class EventStream implements Source
{
    /** The maximum time without a byte, in seconds. The broker sends a comment every 15 s. */
    private const SILENCE_MAX = 45.0;

    /** The maximum wait of one read, in seconds, so that `until` is called in time. */
    private const TICK = 0.5;

    /** The maximum size of an error response, in bytes. */
    private const PROBLEM_BYTES_MAX = 65_536;

    /** Takes the caller, a transport with streams, and the topics. */
    public function __construct(
        private readonly Caller $caller,
        private readonly CurlTransport $transport,
        private readonly Topics $topics,
    ) {
    }

    public function events(?string $since, ?string $cursor): \Generator
    {
        $parameters = ['envelope' => 'true'];
        $headers = ['Accept' => 'text/event-stream', 'Cache-Control' => 'no-store'];
        if ($cursor !== null) {
            $headers['Last-Event-ID'] = $cursor;
        } elseif ($since !== null) {
            $parameters['since'] = $since;
        }
        $query = $this->topics->query($parameters);
        $request = $this->caller->request('GET', $this->topics->path(), $query, $headers);
        $stream = $this->transport->stream($request);
        yield from $this->head($stream, $request);
        $parser = new EventParser();
        $heardAt = microtime(true);
        $isOpen = false;
        while (($bytes = $stream->read(self::TICK)) !== null) {
            if ($bytes === '') {
                if (microtime(true) - $heardAt > self::SILENCE_MAX) {
                    return;
                }
                yield new Event(Event::QUIET);
                continue;
            }
            $heardAt = microtime(true);
            foreach ($parser->feed($bytes) as $event) {
                $cursor = $event['id'] === '' ? null : $event['id'];
                if (!$isOpen) {
                    $isOpen = true;
                    yield new Event(Event::OPEN, [], $cursor);
                }
                yield from self::read($event, $cursor);
            }
        }
    }

    /**
     * Waits for the head of the response.
     *
     * @return \Generator<int, Event>
     */
    private function head(CurlStream $stream, Request $request): \Generator
    {
        $proxyHint = $this->caller->proxyHint($request);
        $deadline = microtime(true) + $this->caller->timeout;
        $body = '';
        while (!$stream->isForked()) {
            $status = $stream->status();
            $isStream = str_starts_with($stream->headers()['content-type'] ?? '', 'text/event-stream');
            if ($status === 200 && $isStream) {
                return;
            }
            $bytes = '';
            if ($status === 0) {
                // The bytes stay where they are: they may be those of the event stream.
                $stream->wait(self::TICK);
            } else {
                $bytes = $stream->read(self::TICK);
            }
            $isLate = microtime(true) > $deadline;
            if ($status === 0 && $isLate) {
                throw new Unreachable("The broker at {$this->caller->address} does not answer.$proxyHint", 'timed_out');
            }
            $body .= (string) $bytes;
            if ($status !== 0 && ($bytes === null || $isLate || strlen($body) > self::PROBLEM_BYTES_MAX)) {
                throw $status === 200
                    ? new UnexpectedAnswer(
                        "The server at {$this->caller->address} does not answer with an event stream. Check the URL.$proxyHint",
                        'unexpected_answer',
                        $status,
                    )
                    : $this->caller->problem(new Answer($status, $stream->headers(), $body), $request);
            }
            yield new Event(Event::QUIET);
        }
    }

    /**
     * @param array{event: string, data: string, id: string} $event
     * @return \Generator<int, Event>
     */
    private static function read(array $event, ?string $cursor): \Generator
    {
        $kind = match ($event['event']) {
            '', 'message' => $event['data'] === '' ? null : Event::MESSAGE,
            'gap' => Event::GAP,
            'closing' => Event::CLOSING,
            // join and leave, or an event that is newer than this class.
            default => null,
        };
        if ($kind === null) {
            return;
        }
        try {
            $fields = $event['data'] === '' ? [] : Payload::decode($event['data']);
        } catch (\JsonException) {
            $fields = null;
        }
        if (!is_array($fields)) {
            if ($kind !== Event::GAP) {
                throw new UnexpectedAnswer(
                    'An event of the stream is not a JSON object. Check that the URL is that of a fanwire broker.',
                    'unexpected_answer',
                );
            }
            $fields = [];
        }
        yield new Event($kind, $fields, $cursor);
    }
}
