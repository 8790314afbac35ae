//! The live tail of a topic: its newest publications, then its event stream, as an observer: it is no subscriber and no member. Owns what
//! is kept of them for display; draws nothing.

import { useEffect, useRef, useState } from 'preact/hooks';
import { ApiError, request, type Message, type MessagePage, parseJson, paths, queryOf } from './api.ts';
import { readEvents } from './events.ts';

/** The maximum number of messages that are shown; the oldest are dropped. */
const SHOWN_MAX = 200;

/** The number of past messages that are read first. */
const LAST = 50;

/** The interval at which new messages are shown, in milliseconds: a thousand messages a second are not a thousand drawings. */
const SHOW_EVERY_MS = 250;

/** One line of the tail. Without a message it marks a place where messages are missing. */
export interface Shown {
  number: number;
  message?: Message;
}

/** The state of a tail. */
export interface Tail {
  /** Newest first. */
  shown: Shown[];
  /** The number of messages received so far. */
  seen: number;
  state: 'connecting' | 'connected' | 'reconnecting' | 'closed';
  error: Error | undefined;
}

/** Follows `topic` while the component is mounted. While `isPaused`, messages are counted but not shown. */
export function useTail(topic: string, isPaused: boolean): Tail & { clear(): void } {
  const [tail, setTail] = useState<Tail>(EMPTY);
  const paused = useRef(isPaused);
  paused.current = isPaused;
  const waiting = useRef<Shown[]>([]);
  useEffect(() => {
    waiting.current = [];
    setTail(EMPTY);
    const abort = new AbortController();
    let seen = 0;
    let lines = 0;
    const show = (message?: Message) => {
      lines += 1;
      if (message) seen += 1;
      waiting.current.push({ number: lines, ...(message && { message }) });
      if (waiting.current.length > SHOWN_MAX) waiting.current.splice(0, waiting.current.length - SHOWN_MAX);
    };
    const follow = async () => {
      const begin = async () => {
        const since = await readPast(topic, abort.signal, show);
        return paths.messages(topic) + queryOf({ envelope: 'true', observe: 'true', since });
      };
      await readEvents(begin, abort.signal, {
        onOpen: () => setTail((before) => ({ ...before, state: 'connected', error: undefined })),
        onEvent: ({ name, data }) => {
          if (name === 'gap') show();
          else if (name === 'message') show(parseJson(data) as Message);
        },
        onTrouble: (error) => setTail((before) => ({ ...before, state: 'reconnecting', error })),
      });
    };
    follow().catch((error: Error) => {
      if (!abort.signal.aborted) setTail((before) => ({ ...before, state: 'closed', error }));
    });
    const timer = setInterval(() => {
      setTail((before) => {
        if (paused.current) return before.seen === seen ? before : { ...before, seen };
        if (waiting.current.length === 0) return before;
        const fresh = waiting.current.reverse();
        waiting.current = [];
        return { ...before, seen, shown: [...fresh, ...before.shown].slice(0, SHOWN_MAX) };
      });
    }, SHOW_EVERY_MS);
    return () => {
      clearInterval(timer);
      abort.abort();
    };
  }, [topic]);
  const clear = () => {
    waiting.current = [];
    setTail((before) => ({ ...before, shown: [] }));
  };
  return { ...tail, clear };
}

const EMPTY: Tail = { shown: [], seen: 0, state: 'connecting', error: undefined };

/** Shows the newest messages that a topic holds. Returns the cursor at which its stream continues, where there is one. */
async function readPast(topic: string, signal: AbortSignal, show: (message: Message) => void): Promise<string | undefined> {
  // A pattern has no history of its own.
  if (topic.split('.').some((level) => level === '*' || level === '>')) return undefined;
  try {
    const page = await request<MessagePage>(paths.messages(topic) + queryOf({ limit: LAST }), { signal });
    page.messages.forEach(show);
    return page.cursor;
  } catch (error) {
    if (error instanceof ApiError && error.code === 'history_off') return undefined;
    throw error;
  }
}

/** The maximum number of characters of a payload that are shown. */
const TEXT_MAX = 2000;

/** The maximum number of bytes of a binary payload that are shown. */
const BYTES_MAX = 64;

/** Returns a payload as text, and its kind. */
export function textOf({ data, data_base64 }: Message): { kind: 'text' | 'JSON' | 'binary'; text: string } {
  if (data_base64 !== undefined) {
    const bytes = atob(data_base64);
    const hex = [...bytes.slice(0, BYTES_MAX)].map((byte) => byte.charCodeAt(0).toString(16).padStart(2, '0')).join(' ');
    return { kind: 'binary', text: `${bytes.length} bytes: ${hex}${bytes.length > BYTES_MAX ? ' …' : ''}` };
  }
  if (typeof data === 'string') return { kind: 'text', text: cut(data) };
  const { rawJSON } = JSON as { rawJSON?: (text: string) => unknown };
  const write = (_: string, value: unknown) => (typeof value === 'bigint' ? rawJSON?.(String(value)) ?? String(value) : value);
  return { kind: 'JSON', text: cut(JSON.stringify(data, write) ?? 'null') };
}

function cut(text: string): string {
  return text.length > TEXT_MAX ? `${text.slice(0, TEXT_MAX)} … (${text.length.toLocaleString('en')} characters)` : text;
}
