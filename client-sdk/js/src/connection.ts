//! The life of a connection: it is made, it holds, it breaks, it is made again. This file does not know what is sent over it.

import { Backoff, type Reconnect } from './backoff.ts';
import { CLOSE_TOO_LARGE, CLOSE_UNAUTHORIZED, type Verdict, verdictOf } from './close.ts';
import type { Clock } from './clock.ts';
import type { Credentials, TokenReason } from './credentials.ts';
import { asError, type ErrorCode, FanwireError } from './errors.ts';
import type { ServerFrame } from './frames.ts';
import { Life, WAKE_PONG_MS } from './life.ts';
import type { Link, LinkEnd } from './link.ts';
import type { Status } from './status.ts';
import type { DialFailure, Opened, Opener } from './transports/dialer.ts';
import { isOffline, watchPage } from './wake.ts';

/** A connection that held for this time, in milliseconds, counts as a success. The counters of failures start over. */
const HELD_MS = 5000;

/** The number of connections in a row that break before `HELD_MS` after which the transport counts as unfit. */
const SHORT_MAX = 3;

/** The number of refused tokens in a row after which the client closes. */
const REFUSALS_MAX = 2;

/** A connection that held for this time, in milliseconds, shows that its token was accepted. */
const ACCEPTED_MS = 1000;

/** How long to wait for the device's network before an attempt without it, in milliseconds. */
const OFFLINE_MS = 20_000;

/** The maximum of a timer: those of JavaScript overflow at 2^31 ms. */
const TIMER_MAX_MS = 2 ** 30;

/** The owner of a connection. */
export interface Client {
  /** There is a connection: requests can be sent. */
  attached(link: Link): void;
  /** The connection broke. */
  detached(cause: FanwireError): void;
  received(frame: ServerFrame): void;
  /** The broker refused a message for its size. Returns whether a payload was sent over this connection. */
  blamed(error: FanwireError): boolean;
  /** Sends a new token to the broker. */
  refresh(token: string): Promise<unknown>;
  changed(status: Status): void;
  /** There will be no connection any more. */
  ended(error: FanwireError): void;
  warn(text: string): void;
}

interface Outcome extends Verdict {
  error: FanwireError;
  isRefused?: boolean;
  /** The transport that may not get through. */
  unfit?: Opened['transport'] | undefined;
}

/** Keeps one connection. */
export class Connection {
  status: Status = { state: 'connecting' };
  private readonly backoff: Backoff;
  private readonly unwatch: () => void;
  private link: Link | undefined;
  private life: Life | undefined;
  private cancelRenewal: () => void = () => {};
  private end: ((end: LinkEnd) => void) | undefined;
  private resumeLoop: (() => void) | undefined;
  private isSuspended = false;
  private isClosed = false;
  private wasConnected = false;
  /** How many connections in a row broke early, and how many tokens in a row were refused. */
  private shorts = 0;
  private refusals = 0;

  constructor(
    private readonly opener: Opener, private readonly credentials: Credentials, private readonly client: Client,
    private readonly clock: Clock, private readonly name: string | undefined, reconnect: Reconnect | undefined,
  ) {
    this.backoff = new Backoff(reconnect);
    this.unwatch = watchPage({
      wake: () => this.wake(),
      suspend: () => this.suspend(),
      resume: () => {
        this.isSuspended = false;
        this.wake();
      },
    });
  }

  /** Connects, and reconnects until `close()` or a final error. */
  async run(): Promise<void> {
    while (!this.isClosed) {
      const outcome = await this.live(this.refusals > 0 ? 'refused' : 'connect');
      if (this.isClosed) return;
      this.refusals = outcome.isRefused ? this.refusals + 1 : 0;
      // A token that is refused may be replaced; a bounded number of times, because the function may return refused ones for ever.
      const mayRenew = outcome.isRefused && this.credentials.isRenewable && this.refusals < REFUSALS_MAX;
      if (!outcome.again && !mayRenew) return this.finish(outcome.error);
      if (outcome.unfit && await this.opener.isReplaced(outcome.unfit)) continue;
      if (!await this.pause(outcome)) return;
    }
  }

  /** Checks now whether the connection works, or tries now to make one. */
  wake(): void {
    if (this.isSuspended) return;
    this.link?.check?.();
    this.life?.probe(WAKE_PONG_MS);
    this.resumeLoop?.();
  }

  /** Ends the connection for good. */
  close(): void {
    if (this.isClosed) return;
    this.stop();
    this.resumeLoop?.();
    this.end?.({ reason: 'closed' });
    this.change({ state: 'closed' });
  }

  /** Runs one connection from its beginning to its end. */
  private async live(reason: TokenReason): Promise<Outcome> {
    let opened: Opened;
    const ended = new Promise<LinkEnd>((resolve) => { this.end = resolve; });
    try {
      const token = await this.credentials.fetch(reason);
      if (this.isClosed) return { error: closed(), again: false };
      const listener = {
        frame: (frame: ServerFrame) => {
          this.life?.heard();
          this.client.received(frame);
        },
        alive: () => this.life?.heard(),
        ended: (end: LinkEnd) => this.end?.(end),
      };
      opened = await this.opener.open(listener, { type: 'connect', id: 0, token, name: this.name });
    } catch (thrown) {
      return this.failed(thrown);
    }
    if (this.isClosed || this.isSuspended) opened.link.close();
    else this.attach(opened);
    const started = this.clock.now();
    const end = await ended;
    const heldMs = this.clock.now() - started;
    const isShort = heldMs < HELD_MS;
    if (!isShort) {
      this.backoff.reset();
      this.shorts = 0;
    }
    if (heldMs >= ACCEPTED_MS) this.refusals = 0;
    this.drop();
    const outcome = this.judge(end, opened.transport);
    // Something in between may cut what it does not know. A broker that ends a connection gives a reason.
    if (isShort && outcome.again && !end.closing && !end.error && !this.isSuspended && ++this.shorts >= SHORT_MAX) outcome.unfit = opened.transport;
    this.client.detached(outcome.error);
    return outcome;
  }

  private attach({ link, transport, connected }: Opened): void {
    this.link = link;
    this.wasConnected = true;
    const interval = Number(connected['ping_interval'] ?? 0) * 1000;
    if (interval > 0) {
      const dead = () => {
        link.close();
        this.end?.({ reason: 'the broker does not answer' });
      };
      this.life = new Life(this.clock, interval, () => link.send({ type: 'ping', id: 0 }), dead);
    }
    const text = (field: string) => connected[field] as string | undefined;
    this.change({ state: 'connected', transport, connection: text('connection'), user: text('user'), server: text('server') });
    this.client.attached(link);
    this.planRenewal();
  }

  /** Releases the link, if there is one. */
  private drop(): void {
    this.life?.stop();
    this.cancelRenewal();
    this.link?.close();
    this.life = this.link = undefined;
  }

  private planRenewal(): void {
    const wait = this.credentials.renewalMs(this.clock.now());
    if (wait === undefined) return;
    this.cancelRenewal = this.clock.after(Math.min(wait, TIMER_MAX_MS), () => {
      if (wait > TIMER_MAX_MS) return this.planRenewal();
      const { link } = this;
      this.credentials.fetch('expiring')
        .then((token) => (token === undefined || link !== this.link ? undefined : this.client.refresh(token)))
        .then(() => { if (link === this.link) this.planRenewal(); })
        // The broker ends the session when the token ends, and a new connection requests a token again.
        .catch((error: Error) => this.client.warn(`the token could not be renewed: ${error.message}`));
    });
  }

  private suspend(): void {
    if (this.isClosed) return;
    this.isSuspended = true;
    this.end?.({ reason: 'the browser suspended the page' });
  }

  /** Returns what follows from a connection that could not be made. */
  private failed(thrown: unknown): Outcome {
    // Only an end of a link has the fields of one: the `code` of a `DOMException` is not a close code.
    if (thrown instanceof Error) {
      const error = asError(thrown, 'unavailable', 'the connection could not be made');
      return { error, again: error.code !== 'bad_option' };
    }
    const failure = thrown as DialFailure;
    const outcome = this.judge(failure, undefined);
    // A broker that was there before may be away for a moment, whatever a proxy answers in its place.
    if (failure.isFinal && !this.wasConnected) outcome.again = false;
    return outcome;
  }

  private judge({ code, reason, closing, error: given, isUnfit }: LinkEnd, transport: Opened['transport'] | undefined): Outcome {
    const number = closing?.code ?? code;
    const verdict = verdictOf(closing, code);
    if (given) {
      const error = given instanceof FanwireError ? given : new FanwireError(given.code, given.message, { status: given.status });
      const isRefused = error.code === 'unauthorized' || error.code === 'token_expired';
      const again = closing ? verdict.again : !isRefused && (error.code !== 'forbidden' || this.wasConnected);
      return { ...verdict, error: isRefused ? this.refused(error) : error, isRefused, again };
    }
    if (number === CLOSE_TOO_LARGE) {
      const large = new FanwireError('too_large', `the broker does not take a message of this size: ${reason}`, { status: number });
      return { error: large, again: this.client.blamed(large) };
    }
    const known: Partial<Record<number, ErrorCode>> = { 4401: 'unauthorized', 4403: 'forbidden', 4429: 'rate_limited' };
    const kind = (number !== undefined && known[number]) || (verdict.again ? 'connection_lost' : 'disconnected');
    const message = verdict.again ? reason : `the broker ended the connection${number === undefined ? '' : ` (${number})`}: ${reason}`;
    const ended = new FanwireError(kind, message, { status: number });
    const isRefused = number === CLOSE_UNAUTHORIZED;
    return { ...verdict, error: isRefused ? this.refused(ended) : ended, isRefused, unfit: isUnfit ? transport : undefined };
  }

  /** Returns the error of a refusal in the words of the application, which may not have passed a token. */
  private refused(error: FanwireError): FanwireError {
    if (this.credentials.current !== undefined) return error;
    const { status, code } = error;
    return new FanwireError(code, 'the broker requires a token: pass the option `token` to connect()', { status, cause: error });
  }

  /** Waits before the next attempt. Returns whether there is one. */
  private async pause({ error, afterMs }: Outcome): Promise<boolean> {
    const drawn = this.backoff.next(this.clock.random(), afterMs);
    if (drawn === undefined) {
      this.finish(new FanwireError('unreachable', `${error.message}; gave up after ${this.backoff.attempts} attempts`, { cause: error }));
      return false;
    }
    const offline = isOffline();
    const waitMs = Math.round(offline ? OFFLINE_MS : drawn);
    const state = this.isSuspended ? 'suspended' : offline ? 'offline' : 'reconnecting';
    await new Promise<void>((resolve) => {
      const cancel = this.isSuspended ? () => {} : this.clock.after(waitMs, resolve);
      this.resumeLoop = () => {
        cancel();
        resolve();
      };
      this.change({ state, attempt: this.backoff.attempts, waitMs, error });
    });
    this.resumeLoop = undefined;
    return !this.isClosed;
  }

  private finish(error: FanwireError): void {
    this.stop();
    this.change({ state: 'closed', error });
    this.client.ended(error);
  }

  private stop(): void {
    this.isClosed = true;
    this.drop();
    this.opener.close();
    this.unwatch();
  }

  private change(status: Status): void {
    this.status = status;
    this.client.changed(status);
  }
}

/** Returns the error of everything that was pending when `close()` was called. */
export function closed(): FanwireError {
  return new FanwireError('closed', 'close() was called');
}
