//! The live tail of a topic, over the broker's own JavaScript client: what is kept of it and what was passed over. Draws nothing.

import { useEffect, useRef, useState } from 'preact/hooks';
import { type Broker, connect, type Message } from 'fanwire';
import { adminKey } from './key.ts';

/** How many messages are shown at most; older ones go. */
const SHOWN_MAX = 200;

/** How many of the past are asked for. */
const LAST = 50;

/** How often what came is shown, in milliseconds: a thousand messages a second are not a thousand drawings. */
const SHOW_EVERY_MS = 250;

/** One message as it is shown. */
export interface Shown {
  number: number;
  message: Message;
}

/** What is known of a tail. */
export interface Tail {
  /** Newest first. */
  shown: Shown[];
  /** How many came in all. */
  seen: number;
  state: string;
  error: Error | undefined;
  broker: Broker | undefined;
}

/** Follows `topic` for as long as the component is there. While `isPaused`, what comes is counted but not shown. */
export function useTail(topic: string, isPaused: boolean): Tail & { clear(): void } {
  const [tail, setTail] = useState<Tail>(EMPTY);
  const paused = useRef(isPaused);
  paused.current = isPaused;
  const waiting = useRef<Shown[]>([]);
  useEffect(() => {
    waiting.current = [];
    setTail(EMPTY);
    const key = adminKey();
    const broker = connect('', { name: 'fanwire console', log: false, ...(key === undefined ? {} : { token: key }) });
    let seen = 0;
    const subscription = broker.subscribe(topic, (message) => {
      seen += 1;
      waiting.current.push({ number: seen, message });
      if (waiting.current.length > SHOWN_MAX) waiting.current.splice(0, waiting.current.length - SHOWN_MAX);
    }, /[*>]/.test(topic) ? {} : { last: LAST });
    subscription.ready.catch((error: Error) => setTail((before) => ({ ...before, error })));
    broker.on('status', ({ state, error }) => setTail((before) => ({ ...before, state, error })));
    const timer = setInterval(() => {
      setTail((before) => {
        if (paused.current) return before.seen === seen ? before : { ...before, seen };
        if (waiting.current.length === 0) return before;
        const fresh = waiting.current.reverse();
        waiting.current = [];
        return { ...before, seen, shown: [...fresh, ...before.shown].slice(0, SHOWN_MAX) };
      });
    }, SHOW_EVERY_MS);
    setTail((before) => ({ ...before, broker }));
    return () => {
      clearInterval(timer);
      broker.close();
    };
  }, [topic]);
  const clear = () => {
    waiting.current = [];
    setTail((before) => ({ ...before, shown: [] }));
  };
  return { ...tail, clear };
}

const EMPTY: Tail = { shown: [], seen: 0, state: 'connecting', error: undefined, broker: undefined };

/** How much of a payload is shown, in characters. */
const TEXT_MAX = 2000;

/** A payload as text, and what kind it is. */
export function textOf(data: unknown): { kind: 'text' | 'JSON' | 'binary'; text: string } {
  if (typeof data === 'string') return { kind: 'text', text: cut(data) };
  if (data instanceof Uint8Array) {
    const hex = [...data.subarray(0, 64)].map((byte) => byte.toString(16).padStart(2, '0')).join(' ');
    return { kind: 'binary', text: `${data.length} bytes: ${hex}${data.length > 64 ? ' …' : ''}` };
  }
  return { kind: 'JSON', text: cut(JSON.stringify(data, (_, value: unknown) => (typeof value === 'bigint' ? String(value) : value)) ?? 'null') };
}

function cut(text: string): string {
  return text.length > TEXT_MAX ? `${text.slice(0, TEXT_MAX)} … (${text.length.toLocaleString('en')} characters)` : text;
}
