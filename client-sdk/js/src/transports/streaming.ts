//! Receives over Server-Sent Events: one stream for all topics of a link. When the topics change, the new stream begins before the old one
//! ends, so that nothing is lost in between. The position of a publication shows that it arrived twice.

import type { Clock } from '../clock.ts';
import { cursorOfMany } from '../cursor.ts';
import { type ClosingFrame, type Position, unpack } from '../frames.ts';
import type { Calls } from './calls.ts';
import { eventReader, type StreamEvent } from './event-stream.ts';
import type { HttpLink, Receiver } from './http.ts';
import { isBrowser, topicsOf } from './stream-request.ts';

/** The time-out for the beginning of a stream, in milliseconds. A proxy that holds a stream back longer makes it unusable. */
const HEAD_MS = 5000;

/** How long a stream may be silent, in milliseconds. The broker sends something every 15 s. */
const SILENCE_MS = 40_000;

/** Returns the receiver of a link. */
export function streaming(calls: Calls, clock: Clock): (link: HttpLink) => Receiver {
  return (link) => {
    let streams: AbortController[] = [];
    let heard = clock.now();
    /** Ends streams without a successor. Topics without positions lose what is published meanwhile. */
    const giveUp = (ended: AbortController[]) => {
      if (ended.every((one) => one.signal.aborted)) return;
      ended.forEach((one) => one.abort());
      for (const [topic, place] of link.places) if (!place) link.lost(topic);
    };
    link.aborts.signal.addEventListener('abort', () => streams.forEach((one) => one.abort()));

    /** Reads one stream to its end. `begun` is called when it stands. */
    const read = async (signal: AbortSignal, begun: () => void) => {
      let isUnfit = true;
      const names = [...link.places.keys()];
      const silent = () => {
        if (!signal.aborted) link.fail('the event stream is silent', { isUnfit });
      };
      let cancel = clock.after(HEAD_MS, silent);
      const onEvent = eventReader((event) => take(link, event));
      try {
        const placed = [...link.places].filter((entry): entry is [string, Position] => entry[1] !== undefined);
        const response = await calls.send(`/stream?envelope=true&${topicsOf(names)}`, {
          headers: { Accept: 'text/event-stream', ...(placed.length > 0 ? { 'Last-Event-ID': cursorOfMany(placed) } : {}) },
          signal,
        });
        const reader = response.body!.getReader();
        const decoder = new TextDecoder();
        for (;;) {
          const { value, done } = await reader.read();
          if (signal.aborted) return;
          if (done) break;
          if (isUnfit) begun();
          isUnfit = false;
          cancel();
          cancel = clock.after(SILENCE_MS, silent);
          heard = clock.now();
          link.alive();
          onEvent(decoder.decode(value, { stream: true }));
        }
        link.fail('the event stream ended');
      } catch (error) {
        if (!signal.aborted) link.refusedAll(error, names, isUnfit);
      } finally {
        cancel();
        begun();
      }
    };

    return {
      isLossy: false,
      restart() {
        const older = streams;
        streams = [];
        const end = () => older.forEach((one) => one.abort());
        if (link.places.size === 0) return Promise.resolve(end());
        const aborts = new AbortController();
        streams = [...older, aborts];
        return new Promise((resolve) => {
          // A browser has six connections to a host over HTTP/1.1: if all are taken, the new stream takes the place of the old one.
          const cancel = clock.after(HEAD_MS / 2, () => { if (isBrowser()) giveUp(older); });
          void read(aborts.signal, () => {
            cancel();
            if (!aborts.signal.aborted) end();
            streams = streams.filter((one) => !one.signal.aborted);
            resolve();
          });
        });
      },
      release() {
        giveUp(streams.splice(0));
      },
      check() {
        if (link.places.size > 0 && clock.now() - heard > SILENCE_MS / 2) link.fail('the event stream did not survive a sleep');
      },
    };
  };
}

function take(link: HttpLink, { type, data }: StreamEvent): void {
  const value = JSON.parse(data) as Record<string, unknown>;
  if (type === 'message') link.message(value);
  if (type === 'join' || type === 'leave') link.member({ ...value, type });
  if (type === 'closing') link.fail(value['reason'], { closing: unpack(value) as unknown as ClosingFrame });
  if (type === 'gap' && typeof value['topic'] === 'string') {
    const { topic, missed } = value as { topic: string; missed?: number };
    const isPlaced = link.places.get(topic) !== undefined;
    // A pattern has no place to continue from: its new stream began before the old one ended.
    if (isPlaced || missed !== undefined) link.lost(topic, missed);
    if (isPlaced && missed === undefined) link.rejoin(topic, true);
  }
}
