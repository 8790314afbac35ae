import { FanwireError } from './errors.js';
import type { Exchange } from './exchange.js';
import { type LaggedFrame, type MemberFrame, type MessageFrame, type Position, type ReplyFrame } from './frames.js';
import type { Keeper, Subscription } from './subscription.js';
/** All subscriptions of a client. */
export declare class Channels implements Keeper {
    private readonly exchange;
    readonly report: Keeper['report'];
    private readonly failed;
    private readonly all;
    /** This client's own publications without echo, by position, with the subscriptions of that time. */
    private readonly muted;
    /** The channels with new subscriptions, until `flush`. */
    private readonly waiting;
    private hasLink;
    private era;
    /** `report` prints what a handler threw, `failed` an error that ends a subscription. */
    constructor(exchange: Exchange, report: Keeper['report'], failed: (error: FanwireError) => void);
    /** Begins a subscription: at the end of this turn, or before the next request, so that requests leave in their order. */
    add(subscription: Subscription): void;
    /** Joins the channels of new subscriptions. */
    flush(): void;
    leave(subscription: Subscription): void;
    /** Joins all channels over a new connection, each subscription from where it is. */
    attach(): void;
    /** The connection ended. */
    detach(): void;
    /** Ends every subscription. */
    close(error: FanwireError): void;
    /** Keeps a publication of this client from being delivered to it, also after a lost connection. */
    mute(topic: string, position: Position | undefined): void;
    /** Delivers a publication. */
    message(frame: MessageFrame): void;
    /** Delivers a presence event. */
    member(frame: MemberFrame): void;
    /** Reports that the broker skipped messages for this client. */
    lagged({ topic, missed }: LaggedFrame): void;
    /** Ends a subscription that the broker ended. */
    unsubscribed(frame: ReplyFrame): void;
    private concerned;
    /** Joins for the first group of the channel's subscriptions that begin at the same place, then for the next group. */
    private join;
    private subscribe;
    /** Delivers the newest `limit` publications to a group, while the others continue. */
    private readLast;
    private send;
    /** Ends a group that the broker refused. */
    private refused;
    private end;
    /** Checks whether the first message after an uncertain join follows what the other subscriptions received. */
    private settleDoubt;
}
