//! One subscription as the application holds it: its handler, its events, its loop. Joining and leaving is the exchange's work.

import { Emitter, Stream } from './emitter.ts';
import type { FanwireError } from './errors.ts';
import type { MemberFrame, MessageFrame, Position } from './frames.ts';
import { type Message, messageOf } from './payload.ts';
import { Progress, type Start } from './progress.ts';

/** Options of `subscribe`. */
export interface SubscribeOptions extends Start {
  /** A right for this subscription alone. */
  token?: string;
  /** Unsubscribes when it is aborted. */
  signal?: AbortSignal;
  /** Called when something was or may have been missed; the same as `on('lost', …)`. */
  onLost?: (lost: Lost) => unknown;
}

/** Between the message before this and the one after it, something was or may have been published that will not come. */
export interface Lost {
  topic: string;
  /** How many, where the broker counted them. */
  missed?: number | undefined;
}

/** The subscription stands, for the first time or again after a lost connection. */
export interface Joined {
  topic: string;
  /** The newest position of the topic at this moment; undefined for patterns and topics without history. */
  position?: Position | undefined;
  /** Whether everything after the place it began at comes; if not, `lost` is told too. */
  recovered: boolean;
}

/** A user who came to or left a topic with presence. */
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
  /** The subscription ended, and not because this side wanted it to. Nothing comes after this. */
  ended: FanwireError;
}

/** What a subscription needs of whoever keeps it. */
export interface Keeper {
  leave(subscription: Subscription): void;
  /** Told what a handler of the application threw. */
  report(thrown: unknown, during: string): void;
}

/** A subscription to a topic or pattern. */
export class Subscription extends Emitter<SubscriptionEvents> {
  /** Resolves when it stands for the first time; rejects with why it cannot. */
  readonly ready: Promise<Joined>;
  /** @internal */ readonly progress: Progress;
  /** @internal Whether it gets what arrives now. */ isJoined = false;
  /** @internal */ readonly token: string | undefined;
  private readonly streams = new Set<Stream<Message>>();
  private settle!: { resolve(joined: Joined): void; reject(error: unknown): void };
  private over: { error?: FanwireError } | undefined;

  /** @internal */
  constructor(readonly topic: string, private readonly keeper: Keeper, options: SubscribeOptions) {
    super((thrown, during) => keeper.report(thrown, `the '${during}' listener of '${topic}'`));
    this.progress = new Progress(topic, options);
    this.token = options.token;
    this.ready = new Promise((resolve, reject) => { this.settle = { resolve, reject }; });
    this.ready.catch(() => {});  // It is printed and told as `ended` as well, so that nobody has to wait for it.
    if (options.onLost) this.on('lost', options.onLost);
    options.signal?.addEventListener('abort', () => this.unsubscribe(), { once: true });
  }

  /** Ends it. No message is delivered after this. */
  unsubscribe(): void {
    if (this.over) return;
    this.finish(undefined);
    this.keeper.leave(this);
  }

  /** The messages from now on, for `for await`. Leaving the loop unsubscribes, unless there is another loop or a listener. */
  [Symbol.asyncIterator](): AsyncIterableIterator<Message> {
    const stream: Stream<Message> = new Stream(() => {
      this.streams.delete(stream);
      if (this.streams.size === 0 && !this.isHeard('message')) this.unsubscribe();
    }, () => this.lost(1));
    if (this.over) stream.finish(this.over.error);
    else this.streams.add(stream);
    return stream;
  }

  /** @internal Takes note that it stands. */
  joined(position: Position | undefined, recovered: boolean): void {
    this.isJoined = true;
    const isLossy = this.progress.joined(position, recovered);
    const joined = { topic: this.topic, position, recovered: !isLossy };
    this.settle.resolve(joined);
    this.emit('joined', joined);
    if (isLossy) this.lost(undefined);
  }

  /** @internal Delivers a publication, unless it has been delivered. One that is muted only counts as delivered. */
  deliver(frame: MessageFrame, isMuted?: boolean): void {
    const message = messageOf(frame);
    if (this.over || !this.progress.take(message.topic, message.position) || isMuted) return;
    this.emit('message', message);
    for (const stream of [...this.streams]) stream.push(message);
  }

  /** @internal */
  lost(missed: number | undefined): void {
    this.emit('lost', { topic: this.topic, missed });
  }

  /** @internal */
  member({ type, topic, user, connection, info }: MemberFrame): void {
    this.emit(type, { topic, user, connection, info });
  }

  /** @internal Ends it from the other side. */
  end(error: FanwireError): void {
    if (this.over) return;
    this.finish(error);
    this.emit('ended', error);
  }

  private finish(error: FanwireError | undefined): void {
    this.over = error ? { error } : {};
    this.isJoined = false;
    this.settle.reject(error ?? new DOMException('unsubscribed before the subscription stood', 'AbortError'));
    for (const stream of [...this.streams]) stream.finish(error);
    this.streams.clear();
  }
}

