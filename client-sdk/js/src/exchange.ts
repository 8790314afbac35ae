//! Requests and their answers, over the present link. A request that may be repeated safely is sent again after a lost connection.
//! Subscriptions are in `channels.ts`; this file does not connect.

import type { Clock } from './clock.ts';
import { asError, FanwireError } from './errors.ts';
import { type ClientFrame, type ErrorFrame, type ReplyFrame, type ServerFrame, toJson } from './frames.ts';
import type { Link } from './link.ts';

/** The maximum number of requests that wait for an answer or a connection. */
const PENDING_MAX = 10_000;

/** Options of every request. */
export interface RequestOptions {
  /** The time-out for the answer, including the time to connect, in milliseconds. The default is 10 s. */
  timeoutMs?: number;
  /** Stops waiting. The broker may still process a request that was sent. */
  signal?: AbortSignal;
}

/** The receiver of an answer. It is called before any later frame is processed. */
export interface Requester {
  resolve(reply: ReplyFrame): void;
  reject(error: unknown): void;
}

interface Pending extends Requester {
  frame: ClientFrame;
  isSent: boolean;
  /** Whether sending it twice has the same effect as sending it once. */
  isRepeatable: boolean;
}

/** The pending requests. */
export class Exchange {
  /** Why there is no connection, for the errors of requests that waited for one. */
  trouble: FanwireError | undefined;
  private hasSentPayload = false;
  private link: Link | undefined;
  private end: FanwireError | undefined;
  private lastId = 0;
  private readonly pending = new Map<number, Pending>();

  constructor(private readonly clock: Clock, private readonly timeoutMs: number) {}

  /** Sends a request as soon as there is a connection, and passes the answer to `requester`. */
  send(frame: ClientFrame, { signal, timeoutMs = this.timeoutMs }: RequestOptions, isRepeatable: boolean, requester: Requester): void {
    if (this.end) return requester.reject(this.end);
    if (signal?.aborted) return requester.reject(signal.reason);
    if (this.pending.size >= PENDING_MAX) {
      return requester.reject(new FanwireError('limit_exceeded', `${PENDING_MAX} requests wait for answers: await some of them first`));
    }
    const id = this.nextId();
    const finish = () => {
      this.pending.delete(id);
      cancel();
      signal?.removeEventListener('abort', abort);
    };
    const reject = (error: unknown) => {
      finish();
      requester.reject(error);
    };
    const abort = () => reject(signal?.reason);
    const cancel = this.clock.after(timeoutMs, () => reject(this.late(frame.type, timeoutMs)));
    signal?.addEventListener('abort', abort);
    const { type, ...rest } = frame;
    const resolve = (reply: ReplyFrame) => {
      finish();
      requester.resolve(reply);
    };
    const entry: Pending = { frame: { type, id, ...rest }, isSent: false, isRepeatable, resolve, reject };
    this.pending.set(id, entry);
    if (this.link) this.transmit(entry);
  }

  /** Sends a frame without an answer, if there is a connection. */
  tell(frame: ClientFrame): void {
    this.link?.send(frame);
  }

  /** Sends requests over `link` from now on. */
  attach(link: Link): void {
    this.hasSentPayload = false;
    this.link = link;
    this.trouble = undefined;
  }

  /** Sends the requests that waited for a connection, in their order. */
  flush(): void {
    for (const entry of [...this.pending.values()]) if (!entry.isSent) this.transmit(entry);
  }

  /** The connection ended. */
  detach(cause: FanwireError): void {
    this.link = undefined;
    this.trouble = cause;
    for (const entry of [...this.pending.values()]) {
      if (entry.isSent && !entry.isRepeatable) entry.reject(lostBefore(entry.frame.type, cause));
      entry.isSent = false;
    }
  }

  /** Rejects all requests: there will be no connection any more. */
  close(error: FanwireError): void {
    this.link = undefined;
    this.end = error;
    for (const entry of [...this.pending.values()]) entry.reject(error);
  }

  /**
   * Rejects the largest payload that was sent and not answered, because the broker ended the connection for the size of a message. The broker has
   * processed nothing that was sent after it, so that is sent again. Returns whether any payload was sent over this connection.
   */
  blame(error: FanwireError): boolean {
    const sent = [...this.pending.values()].filter((entry) => entry.isSent && 'data' in entry.frame);
    const largest = sent.reduce((one, other) => (sizeOf(other) > sizeOf(one) ? other : one), sent[0]!);
    for (const entry of sent.slice(sent.indexOf(largest) + 1)) entry.isSent = false;
    largest?.reject(error);
    return this.hasSentPayload;
  }

  /** Passes an answer to its request. Returns whether there is one. */
  answered(frame: ServerFrame): boolean {
    const { id } = frame as ReplyFrame | ErrorFrame;
    const entry = id === undefined ? undefined : this.pending.get(id);
    if (!entry) return false;
    if (frame.type === 'error') entry.reject(new FanwireError(frame.code, frame.message));
    else entry.resolve(frame as ReplyFrame);
    return true;
  }

  private transmit(entry: Pending): void {
    entry.isSent = true;
    this.hasSentPayload ||= 'data' in entry.frame;
    try {
      this.link?.send(entry.frame);
    } catch (error) {
      entry.reject(asError(error, 'bad_frame', entry.frame.type));  // The frame cannot be written in this encoding.
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

/** Returns about how many bytes a payload has on the wire. */
function sizeOf({ frame: { data } }: Pending): number {
  return data instanceof Uint8Array ? data.length * 4 / 3 : toJson(data).length;
}

function lostBefore(type: string, cause: FanwireError): FanwireError {
  const hint = type === 'publish' ? '; with a `key`, it is repeated safely' : '';
  return new FanwireError('connection_lost', `${type}: the connection broke before the answer (${cause.message})${hint}`, { cause });
}
