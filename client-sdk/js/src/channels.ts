//! The subscriptions of one client, and how they share what the broker sends.
//!
//! The broker knows each topic or pattern once per connection; a channel is that one, with every subscription of the application
//! to it. One that wants the past while others are live already makes the channel leave and join again from there: the
//! others have seen what comes twice, and drop it by its position.

import { FanwireError } from './errors.ts';
import type { Exchange } from './exchange.ts';
import { type ClientFrame, type LaggedFrame, type MemberFrame, type MessageFrame, type Position, positionIn, type ReplyFrame } from './frames.ts';
import { isAfter, type Wanted } from './progress.ts';
import type { Keeper, Subscription } from './subscription.ts';
import { isPattern, matches } from './topic.ts';

/** A topic or pattern as the broker knows it. */
class Channel {
  readonly subscriptions = new Set<Subscription>();
  /** Whether the broker sends. */
  isLive = false;
  /** Whether an answer is awaited. */
  isAsking = false;
  /** The newest position when it was joined, and the last seen since. */
  head: Position | undefined;
  seen: Position | undefined;
  /** Those who were here at `after` when a join did not promise that all from there would come. */
  doubt: { after: Position; who: Subscription[] } | undefined;

  constructor(readonly name: string, readonly isPattern: boolean) {}

  joined(): Subscription[] {
    return [...this.subscriptions].filter((one) => one.isJoined);
  }
}

/** All subscriptions of a client. */
export class Channels implements Keeper {
  private readonly all = new Map<string, Channel>();
  /** This client's own publications that it does not want back, by position, with those who were subscribed at that time. */
  private readonly muted = new Map<string, Set<Subscription>>();
  private hasLink = false;
  private era = 0;

  /** `report` prints what went wrong where nobody else can be told. */
  constructor(private readonly exchange: Exchange, readonly report: Keeper['report'], private readonly failed: (error: FanwireError) => void) {}

  /** Begins a subscription. */
  add(subscription: Subscription): void {
    let channel = this.all.get(subscription.topic);
    if (!channel) this.all.set(subscription.topic, (channel = new Channel(subscription.topic, isPattern(subscription.topic))));
    channel.subscriptions.add(subscription);
    // Not at once, so that who subscribes can listen to what follows first.
    queueMicrotask(() => this.join(channel));
  }

  leave(subscription: Subscription): void {
    const channel = this.all.get(subscription.topic);
    if (!channel?.subscriptions.delete(subscription) || channel.subscriptions.size > 0) return;
    this.all.delete(channel.name);
    if (channel.isLive || channel.isAsking) this.exchange.tell({ type: 'unsubscribe', topic: channel.name });
  }

  /** There is a connection: joins everything again, from where each subscription is. */
  attach(): void {
    this.hasLink = true;
    for (const channel of this.all.values()) this.join(channel);
  }

  /** The connection is gone. */
  detach(): void {
    this.hasLink = false;
    this.era += 1;
    for (const channel of this.all.values()) {
      channel.isLive = channel.isAsking = false;
      channel.doubt = undefined;
      for (const one of channel.subscriptions) one.isJoined = false;
    }
  }

  /** Ends every subscription. */
  close(error: FanwireError): void {
    for (const channel of [...this.all.values()]) this.end(channel, [...channel.subscriptions], error);
  }

  /** This client has published what it does not want back, not even from the past after a lost connection. */
  mute(topic: string, position: Position | undefined): void {
    const listeners = this.concerned(topic);
    if (!position || listeners.length === 0) return;
    this.muted.set(keyOf(topic, position), new Set(listeners));
    if (this.muted.size > MUTED_MAX) this.muted.delete(this.muted.keys().next().value!);
  }

  /** A publication arrived. */
  message(frame: MessageFrame): void {
    const position = positionIn(frame);
    const muted = position && this.muted.get(keyOf(frame.topic, position));
    const deliver = (one: Subscription) => one.deliver(frame, muted?.has(one));
    const exact = this.all.get(frame.topic);
    if (exact && position) this.settleDoubt(exact, position);
    exact?.joined().forEach(deliver);
    if (exact && position) exact.seen = position;
    // What a plain topic is sent of its past is no news for a pattern that lives beside it.
    const isPast = exact?.head && position && isAfter(position, exact.head) === false;
    for (const channel of this.all.values()) {
      if (!channel.isPattern || !matches(channel.name, frame.topic)) continue;
      channel.joined().filter((one) => !isPast || one.progress.knows(frame.topic)).forEach(deliver);
    }
  }

  /** A user came or left. */
  member(frame: MemberFrame): void {
    for (const one of this.concerned(frame.topic)) one.member(frame);
  }

  /** The broker skipped messages for this client. */
  lagged({ topic, missed }: LaggedFrame): void {
    for (const one of this.concerned(topic)) one.lost(missed === undefined ? undefined : Number(missed));
  }

  /** The broker ended a subscription. */
  unsubscribed(frame: ReplyFrame): void {
    const channel = this.all.get(String(frame.topic));
    if (!channel || frame['code'] === undefined) return;
    channel.isLive = false;
    const error = new FanwireError(frame['code'] as FanwireError['code'], `the broker ended the subscription to '${channel.name}': ${String(frame['reason'])}`);
    this.end(channel, [...channel.subscriptions], error);
  }

  private concerned(topic: string | undefined): Subscription[] {
    const channels = [...this.all.values()].filter((channel) =>
      topic === undefined || channel.name === topic || (channel.isPattern && matches(channel.name, topic)));
    return channels.flatMap((channel) => channel.joined());
  }

  /** Joins for the next of the channel's subscriptions that want the same, and for the others after that. */
  private join(channel: Channel): void {
    while (this.hasLink && !channel.isAsking) {
      const waiting = [...channel.subscriptions].filter((one) => !one.isJoined);
      const first = waiting[0];
      if (!first) return;
      const wanted = first.progress.wanted();
      const key = wish(first, wanted);
      const group = waiting.filter((one) => wish(one, one.progress.wanted()) === key);
      if (!channel.isLive || wanted.since !== undefined) {
        this.ask(channel, group, wanted);
      } else if (wanted.last !== undefined) {
        this.readLast(channel, group, wanted.last);
      } else {
        for (const one of group) one.joined(channel.seen ?? channel.head, true);
      }
    }
  }

  private ask(channel: Channel, group: Subscription[], wanted: Wanted): void {
    const others = channel.joined();
    let { since } = wanted;
    const last = channel.seen ?? channel.head;
    // The others must not miss what lies between them and a place that is further on.
    if (others.length > 0 && last && typeof since === 'object' && isAfter(since as Position, last)) since = last;
    if (channel.isLive) this.exchange.tell({ type: 'unsubscribe', topic: channel.name });
    const frame = { type: 'subscribe', topic: channel.name, since, last: wanted.last, token: group[0]?.token };
    this.send(channel, group, frame, (reply) => {
      const head = positionIn(reply);
      const isRecovered = reply['recovered'] === true;
      channel.isLive = true;
      channel.head = head;
      // A moment may lie after the last that the others saw.
      const isCertain = (isRecovered && !(typeof since === 'object' && 'ts' in since)) || !last || (head && isAfter(head, last) === false);
      channel.doubt = isCertain || others.length === 0 ? undefined : { after: last, who: others };
      for (const one of group) one.joined(head, isRecovered);
    });
  }

  /** Brings the newest so many to a group while the others go on. */
  private readLast(channel: Channel, group: Subscription[], limit: number): void {
    this.send(channel, group, { type: 'history', topic: channel.name, limit, reverse: true }, (reply) => {
      const messages = [...reply['messages'] as MessageFrame[]].reverse();
      for (const one of group) {
        one.joined(positionIn(reply), true);
        for (const message of messages) one.deliver(message);
      }
    });
  }

  private send(channel: Channel, group: Subscription[], frame: ClientFrame, done: (reply: ReplyFrame) => void): void {
    const { era } = this;
    channel.isAsking = true;
    this.exchange.ask(frame, { timeoutMs: JOIN_TIMEOUT_MS }, false, {
      resolve: (reply) => {
        if (era !== this.era) return;
        channel.isAsking = false;
        done(reply);
        this.join(channel);
      },
      reject: (error) => {
        if (era === this.era) this.refused(channel, group, error as FanwireError);
      },
    });
  }

  /** The broker refused to let a group join. */
  private refused(channel: Channel, group: Subscription[], error: FanwireError): void {
    if (error.code === 'closed') return;
    channel.isAsking = false;
    // It may have left already to join again, and then the others are to join again too.
    channel.isLive = false;
    for (const one of channel.subscriptions) one.isJoined = false;
    if (error.code === 'history_off' && group.every((one) => one.progress.wasJoined)) {
      for (const one of group) {
        one.progress.forget();
        one.lost(undefined);
      }
    } else {
      this.end(channel, group, new FanwireError(error.code, `subscribing to '${channel.name}': ${error.message}`, { cause: error }));
    }
    this.join(channel);
  }

  private end(channel: Channel, group: Subscription[], error: FanwireError): void {
    for (const one of group) {
      channel.subscriptions.delete(one);
      one.end(error);
    }
    if (channel.subscriptions.size === 0) this.all.delete(channel.name);
    if (error.code !== 'closed' && group.length > 0) this.failed(error);
  }

  /** After a join that did not promise it: whether what comes begins early enough for those who were live before. */
  private settleDoubt(channel: Channel, position: Position): void {
    const { doubt } = channel;
    if (!doubt) return;
    channel.doubt = undefined;
    if (isAfter(position, doubt.after) !== false) for (const one of doubt.who) if (one.isJoined) one.lost(undefined);
  }
}

/** How many of this client's own publications are remembered, so as not to deliver them. */
const MUTED_MAX = 1000;

/** How long the broker may take to answer a subscription. A connection that lives and says nothing is ended before that. */
const JOIN_TIMEOUT_MS = 60_000;

function keyOf(topic: string, { epoch, offset }: Position): string {
  return `${epoch}:${offset} ${topic}`;
}

function wish(subscription: Subscription, wanted: Wanted): string {
  return JSON.stringify([wanted.since, wanted.last, subscription.token]);
}
