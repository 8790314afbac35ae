//! The subscriptions of one client, and how they share what the broker sends.
//!
//! The broker knows each topic or pattern once per connection. A channel stands for it, with all subscriptions of the application
//! to it. If a new subscription begins in the past while others are active, the channel leaves and joins again from there. The
//! others drop what arrives twice by its position.

import { FanwireError } from './errors.ts';
import type { Exchange } from './exchange.ts';
import { type ClientFrame, type LaggedFrame, type MemberFrame, type MessageFrame, type Position, positionIn, type ReplyFrame } from './frames.ts';
import { isAfter, type Wanted } from './progress.ts';
import type { Keeper, Subscription } from './subscription.ts';
import { isPattern, matches } from './topic.ts';

/** One topic or pattern of the connection. */
class Channel {
  readonly subscriptions = new Set<Subscription>();
  /** Whether the broker sends its publications. */
  isLive = false;
  /** Whether a request of the channel waits for its answer. */
  isPending = false;
  /** The newest position when it was joined, and the last seen since. */
  head: Position | undefined;
  seen: Position | undefined;
  /** The subscriptions that were at `after` when a join did not promise everything after it. */
  doubt: { after: Position; others: Subscription[] } | undefined;

  constructor(readonly name: string, readonly isPattern: boolean) {}

  joined(): Subscription[] {
    return [...this.subscriptions].filter((one) => one.isJoined);
  }
}

/** All subscriptions of a client. */
export class Channels implements Keeper {
  private readonly all = new Map<string, Channel>();
  /** This client's own publications without echo, by position, with the subscriptions of that time. */
  private readonly muted = new Map<string, Set<Subscription>>();
  /** The channels with new subscriptions, until `flush`. */
  private readonly waiting = new Set<Channel>();
  private hasLink = false;
  private era = 0;

  /** `report` prints what a handler threw, `failed` an error that ends a subscription. */
  constructor(private readonly exchange: Exchange, readonly report: Keeper['report'], private readonly failed: (error: FanwireError) => void) {}

  /** Begins a subscription: at the end of this turn, or before the next request, so that requests leave in their order. */
  add(subscription: Subscription): void {
    let channel = this.all.get(subscription.topic);
    if (!channel) this.all.set(subscription.topic, (channel = new Channel(subscription.topic, isPattern(subscription.topic))));
    channel.subscriptions.add(subscription);
    // Equal subscriptions of one turn are joined by one request.
    if (this.waiting.size === 0) queueMicrotask(() => this.flush());
    this.waiting.add(channel);
  }

  /** Joins the channels of new subscriptions. */
  flush(): void {
    const channels = [...this.waiting];
    this.waiting.clear();
    for (const channel of channels) this.join(channel);
  }

  leave(subscription: Subscription): void {
    const channel = this.all.get(subscription.topic);
    if (!channel?.subscriptions.delete(subscription) || channel.subscriptions.size > 0) return;
    this.all.delete(channel.name);
    if (channel.isLive || channel.isPending) this.exchange.tell({ type: 'unsubscribe', topic: channel.name });
  }

  /** Joins all channels over a new connection, each subscription from where it is. */
  attach(): void {
    this.hasLink = true;
    for (const channel of this.all.values()) this.join(channel);
  }

  /** The connection ended. */
  detach(): void {
    this.hasLink = false;
    this.era += 1;
    for (const channel of this.all.values()) {
      channel.isLive = channel.isPending = false;
      channel.doubt = undefined;
      for (const one of channel.subscriptions) one.isJoined = false;
    }
  }

  /** Ends every subscription. */
  close(error: FanwireError): void {
    for (const channel of [...this.all.values()]) this.end(channel, [...channel.subscriptions], error);
  }

  /** Keeps a publication of this client from being delivered to it, also after a lost connection. */
  mute(topic: string, position: Position | undefined): void {
    const listeners = this.concerned(topic);
    if (!position || listeners.length === 0) return;
    this.muted.set(keyOf(topic, position), new Set(listeners));
    if (this.muted.size > MUTED_MAX) this.muted.delete(this.muted.keys().next().value!);
  }

  /** Delivers a publication. */
  message(frame: MessageFrame): void {
    const position = positionIn(frame);
    const muted = position && this.muted.get(keyOf(frame.topic, position));
    const deliver = (one: Subscription) => one.deliver(frame, muted?.has(one));
    const exact = this.all.get(frame.topic);
    if (exact && position) this.settleDoubt(exact, position);
    exact?.joined().forEach(deliver);
    if (exact && position) exact.seen = position;
    // The past of a plain topic is not delivered to a pattern that matches it.
    const isPast = exact?.head && position && isAfter(position, exact.head) === false;
    for (const channel of this.all.values()) {
      if (!channel.isPattern || !matches(channel.name, frame.topic)) continue;
      channel.joined().filter((one) => !isPast || one.progress.knows(frame.topic)).forEach(deliver);
    }
  }

  /** Delivers a presence event. */
  member(frame: MemberFrame): void {
    for (const one of this.concerned(frame.topic)) one.member(frame);
  }

  /** Reports that the broker skipped messages for this client. */
  lagged({ topic, missed }: LaggedFrame): void {
    for (const one of this.concerned(topic)) one.lost(missed === undefined ? undefined : Number(missed));
  }

  /** Ends a subscription that the broker ended. */
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

  /** Joins for the first group of the channel's subscriptions that begin at the same place, then for the next group. */
  private join(channel: Channel): void {
    while (this.hasLink && !channel.isPending) {
      const waiting = [...channel.subscriptions].filter((one) => !one.isJoined);
      const first = waiting[0];
      if (!first) return;
      const wanted = first.progress.wanted();
      const key = startKey(first, wanted);
      const group = waiting.filter((one) => startKey(one, one.progress.wanted()) === key);
      if (!channel.isLive || wanted.since !== undefined) {
        this.subscribe(channel, group, wanted);
      } else if (wanted.last !== undefined) {
        this.readLast(channel, group, wanted.last);
      } else {
        for (const one of group) one.joined(channel.seen ?? channel.head, true);
      }
    }
  }

  private subscribe(channel: Channel, group: Subscription[], wanted: Wanted): void {
    const others = channel.joined();
    let { since } = wanted;
    const last = channel.seen ?? channel.head;
    // The others must receive everything after their place, also if the new one begins later.
    if (others.length > 0 && last && typeof since === 'object' && isAfter(since as Position, last)) since = last;
    if (channel.isLive) this.exchange.tell({ type: 'unsubscribe', topic: channel.name });
    const frame = { type: 'subscribe', topic: channel.name, since, last: wanted.last, token: group[0]?.token };
    this.send(channel, group, frame, (reply) => {
      const head = positionIn(reply);
      const isRecovered = reply['recovered'] === true;
      channel.isLive = true;
      channel.head = head;
      // A moment may be later than the last message that the others received.
      const isCertain = (isRecovered && !(typeof since === 'object' && 'ts' in since)) || !last || (head && isAfter(head, last) === false);
      channel.doubt = isCertain || others.length === 0 ? undefined : { after: last, others };
      for (const one of group) one.joined(head, isRecovered);
    });
  }

  /** Delivers the newest `limit` publications to a group, while the others continue. */
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
    channel.isPending = true;
    this.exchange.send(frame, { timeoutMs: JOIN_TIMEOUT_MS }, false, {
      resolve: (reply) => {
        if (era !== this.era) return;
        channel.isPending = false;
        done(reply);
        this.join(channel);
      },
      reject: (error) => {
        if (era === this.era) this.refused(channel, group, error as FanwireError);
      },
    });
  }

  /** Ends a group that the broker refused. */
  private refused(channel: Channel, group: Subscription[], error: FanwireError): void {
    if (error.code === 'closed') return;
    channel.isPending = false;
    // The channel may have left in order to join again, so all others join again too.
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
    if (channel.subscriptions.size === 0 && this.all.get(channel.name) === channel) this.all.delete(channel.name);
    if (error.code !== 'closed' && group.length > 0) this.failed(error);
  }

  /** Checks whether the first message after an uncertain join follows what the other subscriptions received. */
  private settleDoubt(channel: Channel, position: Position): void {
    const { doubt } = channel;
    if (!doubt) return;
    channel.doubt = undefined;
    if (isAfter(position, doubt.after) !== false) for (const one of doubt.others) if (one.isJoined) one.lost(undefined);
  }
}

/** The maximum number of this client's own publications that are remembered in order not to deliver them. */
const MUTED_MAX = 1000;

/** The time-out for the answer to a subscription, in milliseconds. A silent connection is ended earlier. */
const JOIN_TIMEOUT_MS = 60_000;

function keyOf(topic: string, { epoch, offset }: Position): string {
  return `${epoch}:${offset} ${topic}`;
}

function startKey(subscription: Subscription, wanted: Wanted): string {
  return JSON.stringify([wanted.since, wanted.last, subscription.token]);
}
