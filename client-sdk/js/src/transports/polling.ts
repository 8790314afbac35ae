//! Receives by long polling, where event streams do not get through. Topics with positions are polled from where they are. Patterns and
//! topics without history have a poll of their own, which may miss what is published between two answers.

import type { Clock } from '../clock.ts';
import { cursorOfMany } from '../cursor.ts';
import type { Position } from '../frames.ts';
import type { Calls } from './calls.ts';
import type { HttpLink, Page, Receiver } from './http.ts';
import { topicsOf } from './stream-request.ts';

/** How long the broker holds a poll, in seconds, and the time-out of an answer, in milliseconds. */
const WAIT_SECONDS = 25;
const ANSWER_MS = 35_000;

/** The minimum time between two polls after an empty answer, whatever a proxy answers in the broker's place, in milliseconds. */
const PAUSE_MS = 1000;

/** Returns the receiver of a link. */
export function polling(calls: Calls, clock: Clock): (link: HttpLink) => Receiver {
  return (link) => {
    let aborts = new AbortController();
    let started = clock.now();
    link.aborts.signal.addEventListener('abort', () => aborts.abort());

    const poll = async (names: string[], hasPlaces: boolean, signal: AbortSignal) => {
      while (!signal.aborted && names.length > 0) {
        started = clock.now();
        const places = names.map((name) => [name, link.places.get(name)] as [string, Position]);
        const since = hasPlaces ? `&since=${cursorOfMany(places)}` : '';
        let page: Page;
        try {
          page = await calls.read(`/stream?wait=${WAIT_SECONDS}&envelope=true&${topicsOf(names)}${since}`, signal, {}, ANSWER_MS);
        } catch (error) {
          if (!signal.aborted) link.refusedAll(error, names);
          return;
        }
        if (signal.aborted) return;
        link.alive();
        // Reading each of the topics from its place tells which one has the gap.
        if (page.gap && hasPlaces) return names.forEach((name) => link.rejoin(name));
        for (const entry of page.messages) link.message(entry as never);
        for (const entry of page.presence ?? []) link.member(entry);
        const isHasty = page.messages.length === 0 && !page.presence?.length && clock.now() - started < PAUSE_MS;
        if (isHasty) await new Promise<void>((resolve) => { clock.after(PAUSE_MS, resolve); });
      }
    };

    return {
      isLossy: true,
      restart() {
        this.release();
        aborts = new AbortController();
        const names = [...link.places.keys()];
        void poll(names.filter((name) => link.places.get(name)), true, aborts.signal);
        void poll(names.filter((name) => !link.places.get(name)), false, aborts.signal);
        return Promise.resolve();
      },
      release() {
        aborts.abort();
      },
      check() {
        if (link.places.size > 0 && clock.now() - started > ANSWER_MS) link.fail('the long poll did not survive a sleep');
      },
    };
  };
}
