//! The life of a connection: it is made, it holds, it breaks, it is made again. What is said over it is not known here.

import { Backoff, type Reconnect } from './backoff.ts';
import { CLOSE_TOO_LARGE, CLOSE_UNAUTHORIZED, type Verdict, verdictOf } from './close.ts';
import type { Clock } from './clock.ts';
import type { Credentials, TokenReason } from './credentials.ts';
import { type ErrorCode, FanwireError } from './errors.ts';
import type { ServerFrame } from './frames.ts';
import { Life, WAKE_PONG_MS } from './life.ts';
import type { Link, LinkEnd } from './link.ts';
import type { Status } from './status.ts';
import type { DialFailure, Opened, Opener } from './transports/dialer.ts';
import { isOffline, watchPage } from './wake.ts';

/** A connection that held for so long counts as one that works, and the back-off starts over. */
const HELD_MS = 5000;

/** How long to wait for the device's network before trying all the same, in milliseconds. */
const OFFLINE_MS = 20_000;

/** No timer is longer than this: JavaScript's wrap around at 2^31 ms. */
const TIMER_MAX_MS = 2 ** 30;

/** What the connection works for. */
export interface Client {
  /** A connection stands: what waits for one can be sent. */
  attached(link: Link): void;
  /** It broke. */
  detached(cause: FanwireError): void;
  received(frame: ServerFrame): void;
  /** The broker would not take a message for its size: whether a publish under way explains that. */
  blamed(error: FanwireError): boolean;
  /** Asks the broker to take a new token. */
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
  /** Whether the broker has refused the token of the last attempt. */
  private isRefused = false;

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

  /** Connects, and again whenever the connection breaks, until `close()` or until that makes no sense any more. */
  async run(): Promise<void> {
    while (!this.isClosed) {
      const outcome = await this.live(this.isRefused ? 'refused' : 'connect');
      if (this.isClosed) return;
      const isNews = outcome.isRefused && this.credentials.isRenewable && !this.isRefused;
      this.isRefused = outcome.isRefused === true;
      if (!outcome.again && !isNews) return this.finish(outcome.error);
      if (isNews || (outcome.unfit && await this.opener.isReplaced(outcome.unfit))) continue;
      if (!await this.pause(outcome)) return;
    }
  }

  /** Makes sure now that the connection lives, or tries now to make one. */
  wake(): void {
    if (this.isSuspended) return;
    this.link?.check?.();
    this.life?.ask(WAKE_PONG_MS);
    this.resumeLoop?.();
  }

  /** Ends it for good. */
  close(): void {
    if (this.isClosed) return;
    this.stop();
    this.resumeLoop?.();
    this.end?.({ reason: 'closed' });
    this.change({ state: 'closed' });
  }

  /** One connection from its beginning to its end. */
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
      return this.failed(thrown as FanwireError | DialFailure);
    }
    if (this.isClosed || this.isSuspended) opened.link.close();
    else this.attach(opened);
    const started = this.clock.now();
    const end = await ended;
    if (this.clock.now() - started >= HELD_MS) this.backoff.reset();
    this.drop();
    const outcome = this.judge(end, opened.transport);
    this.client.detached(outcome.error);
    return outcome;
  }

  private attach({ link, transport, connected }: Opened): void {
    this.link = link;
    this.wasConnected = true;
    this.isRefused = false;
    const interval = Number(connected['ping_interval'] ?? 0) * 1000;
    if (interval > 0) {
      const dead = () => {
        link.close();
        this.end?.({ reason: 'the broker does not answer any more' });
      };
      this.life = new Life(this.clock, interval, () => link.send({ type: 'ping', id: 0 }), dead);
    }
    const text = (field: string) => connected[field] as string | undefined;
    this.change({ state: 'connected', transport, connection: text('connection'), user: text('user'), server: text('server') });
    this.client.attached(link);
    this.planRenewal();
  }

  /** Lets go of the link, if there is one. */
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
        // The broker ends the session when the token does, and a new connection asks for a token again.
        .catch((error: Error) => this.client.warn(`the token could not be renewed: ${error.message}`));
    });
  }

  private suspend(): void {
    if (this.isClosed) return;
    this.isSuspended = true;
    this.end?.({ reason: 'the page was put aside' });
  }

  /** What follows from a connection that could not be made. */
  private failed(thrown: FanwireError | DialFailure): Outcome {
    if (thrown instanceof FanwireError) return { error: thrown, again: true };
    const outcome = this.judge(thrown, undefined);
    // A broker that was there may be away for a moment, whatever a proxy answers meanwhile.
    if (thrown.isFinal && !this.wasConnected) outcome.again = false;
    return outcome;
  }

  private judge({ code, reason, closing, error, isUnfit }: LinkEnd, transport: Opened['transport'] | undefined): Outcome {
    const number = closing?.code ?? code;
    const verdict = verdictOf(closing, code);
    if (error) {
      const isRefused = error.code === 'unauthorized' || error.code === 'token_expired';
      return { error, isRefused, again: !isRefused && (error.code !== 'forbidden' || this.wasConnected) };
    }
    if (number === CLOSE_TOO_LARGE) {
      const large = new FanwireError('too_large', `the broker does not take a message of this size: ${reason}`, { status: number });
      return { error: large, again: this.client.blamed(large) };
    }
    const known: Partial<Record<number, ErrorCode>> = { 4401: 'unauthorized', 4403: 'forbidden', 4429: 'rate_limited' };
    const kind = (number !== undefined && known[number]) || (verdict.again ? 'connection_lost' : 'disconnected');
    const message = verdict.again ? reason : `the broker ended the connection${number === undefined ? '' : ` (${number})`}: ${reason}`;
    return { ...verdict, error: new FanwireError(kind, message, { status: number }), isRefused: number === CLOSE_UNAUTHORIZED, unfit: isUnfit ? transport : undefined };
  }

  /** Waits before the next attempt; false when there is none. */
  private async pause({ error, afterMs }: Outcome): Promise<boolean> {
    const drawn = this.backoff.next(this.clock.random());
    if (drawn === undefined) {
      this.finish(new FanwireError('unreachable', `${error.message}; given up after ${this.backoff.attempts} attempts`, { cause: error }));
      return false;
    }
    const offline = isOffline();
    const waitMs = Math.round(offline ? OFFLINE_MS : afterMs ?? drawn);
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

/** The error of everything that was under way when `close()` was called. */
export function closed(): FanwireError {
  return new FanwireError('closed', 'close() was called');
}
