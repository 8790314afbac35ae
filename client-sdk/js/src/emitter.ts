//! Events for applications: listeners and async iterators. A listener that throws does not affect other listeners.

import { FanwireError } from './errors.ts';
import { hint } from './names.ts';

/** A function that is called with each event of one name. */
export type Listener<T> = (event: T) => unknown;

/** The maximum number of events that are kept for a slow or late reader. Beyond it the oldest events are dropped. */
export const KEPT_MAX = 1000;

/** An object with events. */
export abstract class Emitter<Events extends object> {
  private readonly listeners = new Map<keyof Events, Set<Listener<never>>>();

  /** `names` lists the events. `onThrown` receives what a listener throws, and the name of the event. */
  constructor(private readonly names: string, private readonly onThrown: (thrown: unknown, during: string) => void) {}

  /**
   * Calls `listener` for every event of this name, and returns a function that ends this. A listener that is registered late
   * first receives what it missed, as `backlog` defines, before any newer event and never from inside this call.
   */
  on<Name extends keyof Events>(name: Name, listener: Listener<Events[Name]>): () => void {
    const names = this.names.split(' ');
    if (!names.includes(String(name))) {
      throw new FanwireError('bad_option', `on(): there is no event '${String(name)}'${hint(String(name), names)}`);
    }
    if (typeof listener !== 'function') throw new FanwireError('bad_option', `on('${String(name)}', …) needs a function`);
    let all = this.listeners.get(name);
    if (!all) this.listeners.set(name, (all = new Set()));
    const entries = all;
    let missed: Events[Name][] | undefined = this.backlog(name);
    const entry = (event: Events[Name]) => (missed ? void missed.push(event) : listener(event));
    entries.add(entry);
    const deliver = () => {
      for (const event of missed!) if (entries.has(entry)) this.call(listener, name, event);
      missed = undefined;
    };
    if (missed.length > 0) queueMicrotask(deliver);
    else missed = undefined;
    return () => { entries.delete(entry); };
  }

  /** @internal Whether there is a listener for events of this name. */
  isHeard(name: keyof Events): boolean {
    return (this.listeners.get(name)?.size ?? 0) > 0;
  }

  /** @internal Calls the listeners of this name. */
  emit<Name extends keyof Events>(name: Name, event: Events[Name]): void {
    const entries = this.listeners.get(name);
    // A listener may end others: these are no longer called.
    for (const entry of [...(entries ?? [])]) if (entries!.has(entry)) this.call(entry as Listener<Events[Name]>, name, event);
  }

  /** @internal Removes all listeners. */
  silence(): void {
    for (const entries of this.listeners.values()) entries.clear();
  }

  /** Returns the events that a new listener has missed and must still receive. */
  protected abstract backlog<Name extends keyof Events>(name: Name): Events[Name][];

  private call<Name extends keyof Events>(listener: Listener<Events[Name]>, name: Name, event: Events[Name]): void {
    guard(() => listener(event), (thrown) => this.onThrown(thrown, String(name)));
  }
}

/** Calls a function of the application. `report` receives what the function throws or what its promise rejects with. */
export function guard(call: () => unknown, report: (thrown: unknown) => void): void {
  try {
    const result = call() as PromiseLike<unknown> | undefined;
    if (typeof result?.then === 'function') result.then(undefined, report);
  } catch (thrown) {
    report(thrown);
  }
}

/** A bounded queue between a producer and one `for await` loop. */
export class Stream<T> implements AsyncIterableIterator<T> {
  private readonly waiting: { resolve(result: IteratorResult<T>): void; reject(error: unknown): void }[] = [];
  private end: { error?: unknown } | undefined;

  /**
   * `ended` is called when the reader leaves the loop, `dropped` when the oldest event is dropped because the reader is too
   * slow. `kept` holds events that the reader has missed.
   */
  constructor(private readonly ended: () => void, private readonly dropped: () => void = () => {}, private readonly kept: T[] = []) {}

  /** Adds an event. */
  push(value: T): void {
    if (this.end) return;
    const reader = this.waiting.shift();
    if (reader) return reader.resolve({ value, done: false });
    this.kept.push(value);
    if (this.kept.length <= KEPT_MAX) return;
    this.kept.shift();
    this.dropped();
  }

  /** Ends the stream after the events that are kept. With an error, the loop throws it. */
  finish(error?: unknown): void {
    this.end ??= { error };
    this.settle();
  }

  next(): Promise<IteratorResult<T>> {
    if (this.kept.length > 0) return Promise.resolve({ value: this.kept.shift()!, done: false });
    return new Promise((resolve, reject) => {
      this.waiting.push({ resolve, reject });
      this.settle();
    });
  }

  return(): Promise<IteratorResult<T>> {
    this.kept.length = 0;
    this.finish();
    this.ended();
    return Promise.resolve({ value: undefined, done: true });
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  /** Answers the readers that wait, if the stream has ended. The first one receives the error. */
  private settle(): void {
    if (!this.end) return;
    for (const { resolve, reject } of this.waiting.splice(0)) {
      const { error } = this.end;
      this.end = {};
      if (error === undefined) resolve({ value: undefined, done: true });
      else reject(error);
    }
  }
}
