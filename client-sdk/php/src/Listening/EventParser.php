<?php

/**
 * Owns the format of event streams (WHATWG HTML, "Server-sent events"). It does not know what the events mean.
 */

declare(strict_types=1);

namespace Fanwire\Listening;

use Fanwire\Exception\UnexpectedAnswer;
use Fanwire\Http\Transport;

/**
 * Parses the bytes of an event stream, however they are cut.
 *
 * @internal
 */
final class EventParser
{
    private string $rest = '';
    private int $searchedTo = 0;
    private string $name = '';
    /** @var list<string> */
    private array $data = [];
    private string $id = '';

    /**
     * Takes more bytes and returns the events that are complete.
     *
     * @return list<array{event: string, data: string, id: string}>
     * @throws UnexpectedAnswer when a line is longer than any that a broker sends
     */
    public function feed(string $bytes): array
    {
        $this->rest .= $bytes;
        $events = [];
        $start = 0;
        while (($end = strpos($this->rest, "\n", max($start, $this->searchedTo))) !== false) {
            $this->line(rtrim(substr($this->rest, $start, $end - $start), "\r"), $events);
            $start = $end + 1;
        }
        $this->rest = substr($this->rest, $start);
        $this->searchedTo = strlen($this->rest);
        if ($this->searchedTo > Transport::ANSWER_BYTES_MAX) {
            throw new UnexpectedAnswer('A line of the event stream is too long. Check that the URL is that of a fanwire broker.', 'unexpected_answer');
        }
        return $events;
    }

    /** @param list<array{event: string, data: string, id: string}> $events */
    private function line(string $line, array &$events): void
    {
        if ($line === '') {
            $events[] = ['event' => $this->name, 'data' => implode("\n", $this->data), 'id' => $this->id];
            $this->name = '';
            $this->data = [];
            return;
        }
        [$field, $value] = explode(':', $line, 2) + [1 => ''];
        $value = str_starts_with($value, ' ') ? substr($value, 1) : $value;
        match ($field) {
            'event' => $this->name = $value,
            'data' => $this->data[] = $value,
            'id' => $this->id = $value,
            // A comment (nothing before the colon), retry, or a field that is newer than this class.
            default => null,
        };
    }
}
