//! Requests and their answers, over whatever link there is at the moment. What may be asked twice without harm is asked again
//! after a lost connection. Subscriptions are kept in `channels.ts`; when to connect is not known here.

import type { Clock } from './clock.ts';
import { FanwireError } from './errors.ts';
import type { ClientFrame, ErrorFrame, ReplyFrame, ServerFrame } from './frames.ts';
import type { Link } from './link.ts';

/** How many requests may be under way or waiting for a connection. */
const PENDING_MAX = 10_000;

/** How the answer to a request is waited for. */
export interface RequestOptions {
  /** How long to wait for the answer, a connection included, in milliseconds; 10 s if not said. */
  timeoutMs?: number;
  /** Stops waiting. What was sent already may still be done. */
  signal?: AbortSignal;
}

/** Who is told the answer. It is called at once, before anything that came after the answer is looked at. */
export interface Asker {
  resolve(reply: ReplyFrame): void;
  reject(error: unknown): void;
}

interface Pending extends Asker {
  frame: ClientFrame;
  isSent: boolean;
  /** Whether asking twice is the same as asking once. */
  isRepeatable: boolean;
}

/** The requests under way. */
export class Exchange {
  /** Why there is no connection, for the errors of requests that waited for one. */
  trouble: FanwireError | undefined;
  private link: Link | undefined;
  private end: FanwireError | undefined;
  private lastId = 0;
  private readonly pending = new Map<number, Pending>();

  constructor(private readonly clock: Clock, private readonly timeoutMs: number) {}

  /** Sends a request, as soon as there is a connection, and hands its answer to `asker`. */
  ask(frame: ClientFrame, { signal, timeoutMs = this.timeoutMs }: RequestOptions, isRepeatable: boolean, asker: Asker): void {
    if (this.end) return asker.reject(this.end);
    if (signal?.aborted) return asker.reject(signal.reason);
    if (this.pending.size >= PENDING_MAX) {
      return asker.reject(new FanwireError('limit_exceeded', `${PENDING_MAX} requests wait for answers already`));
    }
    const id = this.nextId();
    const finish = () => {
      this.pending.delete(id);
      cancel();
      signal?.removeEventListener('abort', abort);
    };
    const reject = (error: unknown) => {
      finish();
      asker.reject(error);
    };
    const abort = () => reject(signal?.reason);
    const cancel = this.clock.after(timeoutMs, () => reject(this.late(frame.type, timeoutMs)));
    signal?.addEventListener('abort', abort);
    const { type, ...rest } = frame;
    const resolve = (reply: ReplyFrame) => {
      finish();
      asker.resolve(reply);
    };
    const entry: Pending = { frame: { type, id, ...rest }, isSent: false, isRepeatable, resolve, reject };
    this.pending.set(id, entry);
    if (this.link) this.send(entry);
  }

  /** Sends a frame that gets no answer, if there is a connection. */
  tell(frame: ClientFrame): void {
    this.link?.send(frame);
  }

  /** There is a connection: what is asked from now on is sent at once. */
  attach(link: Link): void {
    this.link = link;
    this.trouble = undefined;
  }

  /** Sends what waited for a connection, in the order in which it was asked. */
  flush(): void {
    for (const entry of [...this.pending.values()]) if (!entry.isSent) this.send(entry);
  }

  /** The connection is gone. */
  detach(cause: FanwireError): void {
    this.link = undefined;
    this.trouble = cause;
    for (const entry of [...this.pending.values()]) {
      if (entry.isSent && !entry.isRepeatable) entry.reject(lostBefore(entry.frame.type, cause));
      entry.isSent = false;
    }
  }

  /** There will be no connection any more. */
  close(error: FanwireError): void {
    this.link = undefined;
    this.end = error;
    for (const entry of [...this.pending.values()]) entry.reject(error);
  }

  /** Rejects the requests of this type that were sent and not answered; whether there were any. */
  fail(type: string, error: FanwireError): boolean {
    const failed = [...this.pending.values()].filter((entry) => entry.isSent && entry.frame.type === type);
    for (const entry of failed) entry.reject(error);
    return failed.length > 0;
  }

  /** Takes an answer; whether it was one that somebody waits for. */
  answered(frame: ServerFrame): boolean {
    const { id } = frame as ReplyFrame | ErrorFrame;
    const entry = id === undefined ? undefined : this.pending.get(id);
    if (!entry) return false;
    if (frame.type === 'error') entry.reject(new FanwireError(frame.code, frame.message));
    else entry.resolve(frame as ReplyFrame);
    return true;
  }

  private send(entry: Pending): void {
    entry.isSent = true;
    try {
      this.link?.send(entry.frame);
    } catch (error) {
      entry.reject(error);  // The payload cannot be written in this encoding.
    }
  }

  private nextId(): number {
    do this.lastId = this.lastId >= 0xffff_ffff ? 1 : this.lastId + 1;
    while (this.pending.has(this.lastId));
    return this.lastId;
  }

  private late(type: string, timeoutMs: number): FanwireError {
    const { trouble } = this;
    const why = trouble ? `there is no connection (${trouble.message})` : 'the broker did not answer';
    return new FanwireError('timeout', `${type}: ${why} within ${timeoutMs} ms`, { cause: trouble });
  }
}

function lostBefore(type: string, cause: FanwireError): FanwireError {
  const hint = type === 'publish' ? '; with a `key`, it would be repeated safely' : '';
  return new FanwireError('connection_lost', `${type}: the connection broke before the answer (${cause.message})${hint}`, { cause });
}
