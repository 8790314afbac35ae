//! Events for applications: callbacks and async iterators. It owns who listens; a listener that throws harms no other.

/** What a listener is called with, by the name of the event. */
export type Listener<T> = (event: T) => unknown;

/** How many events an async iterator keeps for a slow reader; beyond that the oldest go. */
const KEPT_MAX = 1000;

/** Something that can be listened to. */
export class Emitter<Events extends object> {
  private readonly listeners = new Map<keyof Events, Set<Listener<never>>>();

  /** `onThrown` is told what a listener threw, and during which event. */
  constructor(private readonly onThrown: (thrown: unknown, during: string) => void) {}

  /** Calls `listener` at every event of this name from now on; returns what ends that. */
  on<Name extends keyof Events>(name: Name, listener: Listener<Events[Name]>): () => void {
    let all = this.listeners.get(name);
    if (!all) this.listeners.set(name, (all = new Set()));
    all.add(listener);
    return () => { all.delete(listener); };
  }

  /** Whether anybody listens to events of this name. */
  isHeard(name: keyof Events): boolean {
    return (this.listeners.get(name)?.size ?? 0) > 0;
  }

  /** Tells everybody who listens to events of this name. */
  emit<Name extends keyof Events>(name: Name, event: Events[Name]): void {
    for (const listener of [...(this.listeners.get(name) ?? [])]) {
      guard(() => (listener as Listener<Events[Name]>)(event), (thrown) => this.onThrown(thrown, String(name)));
    }
  }
}

/** Calls a function of the application; what it throws, or its promise rejects with, goes to `report`. */
export function guard(call: () => unknown, report: (thrown: unknown) => void): void {
  try {
    const result = call();
    if (result instanceof Promise) result.catch(report);
  } catch (thrown) {
    report(thrown);
  }
}

/** A queue between whoever pushes and one `for await` loop. */
export class Stream<T> implements AsyncIterableIterator<T> {
  private readonly kept: T[] = [];
  private waiting: { resolve(result: IteratorResult<T>): void; reject(error: unknown): void } | undefined;
  private end: { error?: unknown } | undefined;

  /** `ended` is called once the reader has had enough, `dropped` when it was too slow for an event. */
  constructor(private readonly ended: () => void, private readonly dropped: () => void = () => {}) {}

  /** Adds one for the reader. */
  push(value: T): void {
    if (this.end) return;
    if (this.waiting) {
      this.waiting.resolve({ value, done: false });
      this.waiting = undefined;
      return;
    }
    this.kept.push(value);
    if (this.kept.length > KEPT_MAX) {
      this.kept.shift();
      this.dropped();
    }
  }

  /** Nothing comes any more; with an error, the loop throws it. */
  finish(error?: unknown): void {
    if (this.end) return;
    this.end = { error };
    if (!this.waiting) return;
    if (error === undefined) this.waiting.resolve({ value: undefined, done: true });
    else this.waiting.reject(error);
    this.waiting = undefined;
    this.end = {};
  }

  next(): Promise<IteratorResult<T>> {
    if (this.kept.length > 0) return Promise.resolve({ value: this.kept.shift()!, done: false });
    if (this.end) {
      const { error } = this.end;
      this.end = {};
      return error === undefined ? Promise.resolve({ value: undefined, done: true }) : Promise.reject(error);
    }
    return new Promise((resolve, reject) => { this.waiting = { resolve, reject }; });
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
}
