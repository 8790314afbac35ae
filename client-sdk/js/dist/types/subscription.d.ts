import { Emitter } from './emitter.js';
import type { FanwireError } from './errors.js';
import type { Position } from './frames.js';
import { type Message } from './payload.js';
import { type Start } from './progress.js';
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
export declare class Subscription extends Emitter<SubscriptionEvents> {
    readonly topic: string;
    private readonly keeper;
    /** Resolves when the subscription is active for the first time. Rejects with the reason if it cannot be. */
    readonly ready: Promise<Joined>;
    private readonly streams;
    /** Messages that arrived before the first handler or loop; undefined once there is one. */
    private early;
    /** Losses that occurred before there was a listener for them. */
    private readonly unheard;
    private lastJoined;
    private settle;
    private over;
    private forgetSignal;
    /** Ends the subscription. No event follows. */
    unsubscribe(): void;
    /**
     * The messages for `for await`: the first handler or loop receives what arrived before it, others what arrives from now on. Leaving
     * the loop unsubscribes, unless there is another loop or a handler.
     */
    [Symbol.asyncIterator](): AsyncIterableIterator<Message>;
    protected backlog<Name extends keyof SubscriptionEvents>(name: Name): SubscriptionEvents[Name][];
    private finish;
}
