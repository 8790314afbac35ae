//! Reads a topic's event stream (WHATWG HTML, "Server-sent events") over `fetch`, because an `EventSource` cannot send the admin key in
//! a header. It reconnects and resumes; it does not know what the events are shown as.

import { adminKey } from './key.ts';
import { ApiError, refusal } from './api.ts';

/** The broker sends a comment every 15 s. After this time without a byte the connection counts as broken. In milliseconds. */
const SILENCE_MAX_MS = 45_000;

/** A wait before a reconnect is drawn between these bounds, in milliseconds; the upper bound doubles up to the maximum. */
const WAIT_LEAST_MS = 250;
const WAIT_FIRST_MS = 1000;
const WAIT_MOST_MS = 20_000;

/** One event of a stream. */
export interface StreamEvent {
  name: string;
  data: string;
}

/** What a reader of a stream receives. */
export interface StreamReader {
  /** The stream is open: events follow. */
  onOpen(): void;
  onEvent(event: StreamEvent): void;
  /** The connection broke or was refused for now. The next attempt follows. */
  onTrouble(error: Error): void;
}

/**
 * Reads the stream at the path that `begin` returns, until `signal` aborts. After a break it resumes behind the last event.
 * A hidden page has no stream, because over HTTP/1.1 a browser opens only six connections to a host for all its tabs.
 * Throws an `ApiError` when the broker refuses for good.
 */
export async function readEvents(begin: () => Promise<string>, signal: AbortSignal, reader: StreamReader): Promise<void> {
  const place = { id: '' };
  let path: string | undefined;
  let most = WAIT_FIRST_MS;
  for (;;) {
    const wasHidden = await untilVisible(signal);
    if (signal.aborted) return;
    if (wasHidden && path !== undefined && place.id === '') reader.onEvent({ name: 'gap', data: '{}' });
    let trouble = new Error('The connection to the broker ended.');
    try {
      path ??= await begin();
      const closing = await readOnce(path, place, signal, {
        ...reader,
        onEvent: (event) => {
          most = WAIT_FIRST_MS;
          reader.onEvent(event);
        },
      });
      if (closing?.reconnect === false) throw new ApiError(0, closing.error ?? 'closed', `The broker ended the stream: ${closing.reason ?? 'it gave no reason'}.`);
      if (closing?.reason) trouble = new Error(`The broker closed the connection: ${closing.reason}.`);
    } catch (error) {
      if (signal.aborted) return;
      const isFinal = error instanceof ApiError && error.status < 500 && error.status !== 429 && error.code !== 'unreachable';
      if (isFinal) throw error;
      trouble = error as Error;
    }
    if (signal.aborted) return;
    if (document.hidden) continue;
    reader.onTrouble(trouble);
    await pause(WAIT_LEAST_MS + Math.random() * (most - WAIT_LEAST_MS), signal);
    most = Math.min(2 * most, WAIT_MOST_MS);
  }
}

interface Closing {
  reason?: string;
  reconnect?: boolean;
  error?: string;
}

/** Reads one connection to its end. Returns what the broker said before it closed the stream. */
async function readOnce(path: string, place: { id: string }, signal: AbortSignal, reader: StreamReader): Promise<Closing | undefined> {
  const key = adminKey();
  const silence = new AbortController();
  const abort = () => silence.abort();
  const abortHidden = () => { if (document.hidden) abort(); };
  signal.addEventListener('abort', abort);
  document.addEventListener('visibilitychange', abortHidden);
  let timer = setTimeout(abort, SILENCE_MAX_MS);
  try {
    const response = await fetch(path, {
      cache: 'no-store',
      signal: silence.signal,
      headers: {
        Accept: 'text/event-stream',
        ...(key === undefined ? {} : { Authorization: `Bearer ${key}` }),
        ...(place.id === '' ? {} : { 'Last-Event-ID': place.id }),
      },
    });
    if (!response.ok || response.body === null) throw await refusal(response);
    reader.onOpen();
    const parser = new EventParser();
    let closing: Closing | undefined;
    const chunks = response.body.pipeThrough(new TextDecoderStream()).getReader();
    for (let chunk = await chunks.read(); !chunk.done; chunk = await chunks.read()) {
      clearTimeout(timer);
      timer = setTimeout(abort, SILENCE_MAX_MS);
      for (const event of parser.feed(chunk.value)) {
        place.id = parser.lastId;
        if (event.name === 'closing') closing = parseClosing(event.data);
        else if (event.data !== '') reader.onEvent(event);
      }
    }
    return closing;
  } catch (error) {
    if (error instanceof ApiError || signal.aborted) throw error;
    throw new ApiError(0, 'unreachable', 'The broker does not answer.');
  } finally {
    clearTimeout(timer);
    signal.removeEventListener('abort', abort);
    document.removeEventListener('visibilitychange', abortHidden);
    silence.abort();
  }
}

/** Waits while the page is hidden. Returns whether it was. */
async function untilVisible(signal: AbortSignal): Promise<boolean> {
  if (!document.hidden) return false;
  await new Promise<void>((resolve) => {
    const check = () => {
      if (document.hidden && !signal.aborted) return;
      document.removeEventListener('visibilitychange', check);
      signal.removeEventListener('abort', check);
      resolve();
    };
    document.addEventListener('visibilitychange', check);
    signal.addEventListener('abort', check);
  });
  return true;
}

function parseClosing(data: string): Closing {
  try {
    return JSON.parse(data) as Closing;
  } catch {
    return {};
  }
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    signal.addEventListener('abort', () => { clearTimeout(timer); resolve(); }, { once: true });
  });
}

/** Makes events of the text of a stream, however it is cut. */
export class EventParser {
  /** The id of the newest event, to resume at. */
  lastId = '';
  private rest = '';
  private name = '';
  private data: string[] = [];

  /** Returns the events that `text` completes. */
  feed(text: string): StreamEvent[] {
    const lines = (this.rest + text).split('\n');
    this.rest = lines.pop() ?? '';
    const events: StreamEvent[] = [];
    for (const line of lines) this.line(line.endsWith('\r') ? line.slice(0, -1) : line, events);
    return events;
  }

  private line(line: string, events: StreamEvent[]): void {
    if (line === '') {
      events.push({ name: this.name || 'message', data: this.data.join('\n') });
      this.name = '';
      this.data = [];
      return;
    }
    const colon = line.indexOf(':');
    const field = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? '' : line.slice(colon + 1).replace(/^ /, '');
    if (field === 'event') this.name = value;
    else if (field === 'data') this.data.push(value);
    else if (field === 'id') this.lastId = value;
  }
}
