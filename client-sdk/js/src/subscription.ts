//! One subscription as the application holds it: its handler, its events and its loops. `channels.ts` joins and leaves topics.

import { Emitter, KEPT_MAX, Stream } from './emitter.ts';
import type { FanwireError } from './errors.ts';
import type { MemberFrame, MessageFrame, Position } from './frames.ts';
import { type Message, messageOf } from './payload.ts';
import { Progress, type Start } from './progress.ts';

/** Options of `subscribe`. */
export interface SubscribeOptions extends Start {
  /** A token that grants this subscription alone. */
  token?: string;
  /** Unsubscribes when it is aborted. */
  signal?: AbortSignal;
  /** Called when messages were or may have been missed; the same as `on('lost', …)`. */
  onLost?: (lost: Lost) => unknown;
}

/** Messages before the next one were or may have been missed, and will not be delivered. */
export interface Lost {
  topic: string;
  /** How many, if known. */
  missed?: number | undefined;
}

/** The subscription is active, for the first time or again after a lost connection. */
export interface Joined {
  topic: string;
  /** The newest position of the topic at this moment; undefined for patterns and for topics without history. */
  position?: Position | undefined;
  /** Whether everything after the place where the subscription began is delivered. If not, `lost` is emitted too. */
  recovered: boolean;
}

/** A user who joined or left a topic with presence. */
export interface Member {
  topic: string;
  user: string;
  connection?: string | undefined;
  info?: unknown;
}

/** The events of a subscription, for `on`. */
export interface SubscriptionEvents {
  message: Message;
  joined: Joined;
  lost: Lost;
  join: Member;
  leave: Member;
  /** The subscription ended, and the application did not end it. No event follows. */
  ended: FanwireError;
}

/** The owner of subscriptions. */
export interface Keeper {
  leave(subscription: Subscription): void;
  /** Receives what a handler of the application threw. */
  report(thrown: unknown, during: string): void;
}

/** A subscription to a topic or pattern. */
export class Subscription extends Emitter<SubscriptionEvents> {
  /** Resolves when the subscription is active for the first time. Rejects with the reason if it cannot be. */
  readonly ready: Promise<Joined>;
  /** @internal */ readonly progress: Progress;
  /** @internal Whether it receives what arrives now. */ isJoined = false;
  /** @internal */ readonly token: string | undefined;
  private readonly streams = new Set<Stream<Message>>();
  /** Messages that arrived before the first handler or loop; undefined once there is one. */
  private early: Message[] | undefined = [];
  /** Losses that occurred before there was a listener for them. */
  private readonly unheard: Lost[] = [];
  private lastJoined: Joined | undefined;
  private settle!: { resolve(joined: Joined): void; reject(error: unknown): void };
  private over: { error?: FanwireError } | undefined;
  private forgetSignal: () => void = () => {};

  /** @internal */
  constructor(readonly topic: string, private readonly keeper: Keeper, options: SubscribeOptions) {
    super('message joined lost join leave ended', (thrown, during) => keeper.report(thrown, `the '${during}' listener of '${topic}'`));
    const { signal, onLost } = options;
    this.progress = new Progress(topic, options);
    this.token = options.token;
    this.ready = new Promise((resolve, reject) => { this.settle = { resolve, reject }; });
    this.ready.catch(() => {});  // The error is printed and emitted as `ended` as well, so the promise may be ignored.
    if (onLost) this.on('lost', onLost);
    const abort = () => this.unsubscribe();
    signal?.addEventListener('abort', abort);
    this.forgetSignal = () => signal?.removeEventListener('abort', abort);
  }

  /** Ends the subscription. No event follows. */
  unsubscribe(): void {
    if (this.over) return;
    this.silence();
    this.early = undefined;
    this.finish(undefined);
    this.keeper.leave(this);
  }

  /**
   * The messages for `for await`: the first handler or loop receives what arrived before it, others what arrives from now on. Leaving
   * the loop unsubscribes, unless there is another loop or a handler.
   */
  [Symbol.asyncIterator](): AsyncIterableIterator<Message> {
    const stream: Stream<Message> = new Stream(() => {
      this.streams.delete(stream);
      if (this.streams.size === 0 && !this.isHeard('message')) this.unsubscribe();
    }, () => this.lost(1), this.backlog('message'));
    if (this.over) stream.finish(this.over.error);
    else this.streams.add(stream);
    return stream;
  }

  /** @internal The subscription is active. */
  joined(position: Position | undefined, recovered: boolean): void {
    if (this.over) return;
    this.isJoined = true;
    const isLossy = this.progress.joined(position, recovered);
    const joined = this.lastJoined = { topic: this.topic, position, recovered: !isLossy };
    this.settle.resolve(joined);
    this.emit('joined', joined);
    if (isLossy) this.lost(undefined);
  }

  /** @internal Delivers a publication that was not delivered before. A muted one only counts as delivered. */
  deliver(frame: MessageFrame, isMuted?: boolean): void {
    const message = messageOf(frame);
    if (this.over || !this.progress.take(message.topic, message.position) || isMuted) return;
    if (this.early) {
      if (this.early.push(message) <= KEPT_MAX) return;
      this.early.shift();
      return this.lost(1);
    }
    this.emit('message', message);
    for (const stream of [...this.streams]) stream.push(message);
  }

  /** @internal */
  lost(missed: number | undefined): void {
    const lost = { topic: this.topic, missed };
    if (!this.over && !this.isHeard('lost') && this.unheard.length < KEPT_MAX) this.unheard.push(lost);
    this.emit('lost', lost);
  }

  /** @internal */
  member({ type, topic, user, connection, info }: MemberFrame): void {
    this.emit(type, { topic, user, connection, info });
  }

  /** @internal Ends the subscription from the other side. */
  end(error: FanwireError): void {
    if (this.over) return;
    this.finish(error);
    this.emit('ended', error);
    this.silence();
  }

  protected override backlog<Name extends keyof SubscriptionEvents>(name: Name): SubscriptionEvents[Name][] {
    let missed: unknown[] = [];
    if (name === 'message' && this.early) {
      missed = this.early;
      this.early = undefined;
    }
    if (name === 'lost') missed = this.unheard.splice(0);
    if (name === 'joined' && this.isJoined) missed = [this.lastJoined];
    if (name === 'ended' && this.over?.error) missed = [this.over.error];
    return missed as SubscriptionEvents[Name][];
  }

  private finish(error: FanwireError | undefined): void {
    this.over = error ? { error } : {};
    this.isJoined = false;
    this.forgetSignal();
    this.settle.reject(error ?? new DOMException('unsubscribed before the subscription was active', 'AbortError'));
    for (const stream of [...this.streams]) {
      if (error) stream.finish(error);
      else void stream.return();
    }
    this.streams.clear();
  }
}
