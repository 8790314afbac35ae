import type { Clock } from '../clock.js';
import { type ClientFrame, type Position } from '../frames.js';
import type { Link, LinkEnd, LinkListener } from '../link.js';
import { type Calls } from './calls.js';
/** The broker's answer to a reader of history or a poll. */
export interface Page {
    messages: {
        topic: string;
        epoch: string;
        offset: number;
    }[];
    presence?: Record<string, unknown>[];
    cursor: string;
    gap: boolean;
    more: boolean;
}
/** The position of this link in each of its topics and patterns; undefined where there are no positions. */
export type Places = Map<string, Position | undefined>;
/** Brings the publications of the topics that were joined. */
export interface Receiver {
    /** Whether publications of topics without positions may be missed even without a fault. */
    readonly isLossy: boolean;
    /** Continues with the present topics and places. Resolves when their publications arrive. */
    restart(): Promise<void>;
    /** Gives up its connections until `restart`. */
    release(): void;
    /** Fails the link if it is silent for too long, because the machine may have slept. */
    check(): void;
}
/** A link over HTTP. */
export declare class HttpLink implements Link {
    private readonly calls;
    private readonly clock;
    private readonly listener;
    readonly places: Places;
    /** Ends every pending call. */
    readonly aborts: AbortController;
    private readonly receiver;
    private joins;
    /** Frames that wait for the frames before them, and publications that wait for their receipts. */
    private readonly queue;
    private publishing;
    /** Topics without positions whose joins wait for the receiver. */
    private readonly late;
    private isStale;
    /** Publications that wait until it is known whether they are this client's own without echo. */
    private readonly held;
    constructor(calls: Calls, clock: Clock, listener: LinkListener, makeReceiver: (link: HttpLink) => Receiver);
    send(frame: ClientFrame): void;
    close(): void;
    check(): void;
    /** Takes a publication of the receiver: records its position, and passes it on. */
    message(entry: Record<string, unknown>): void;
    /** Takes a presence event of the receiver. */
    member(entry: Record<string, unknown>): void;
    /** Something other than a publication arrived. */
    alive(): void;
    /** Reads a topic from its place, because publications in between may be lost, and continues from there. `isReported`: the loss was reported. */
    rejoin(topic: string, isReported?: boolean): void;
    /** Reports that publications were or may have been missed. */
    lost(topic: string, missed?: number): void;
    /** Ends the link, unless it has ended. */
    fail(thrown: unknown, end?: Partial<LinkEnd>): void;
    /** The broker refused `names` together: ends those that it refuses alone, and fails the link if there are none. */
    refusedAll(thrown: unknown, names: string[], isUnfit?: boolean): Promise<void>;
    /** The broker accepts the token, or there is no connection. */
    private connect;
    /** Processes the queue: a publication leaves after the joins before it, everything else after the publications before it. */
    private work;
    private start;
    /** Ends a join. The last of several restarts the receiver for all. Topics without positions are joined when it has restarted. */
    private joined;
    /** Joins one topic. */
    private join;
    private catchUp;
    /** Reads a topic's history: after `since` to its end, or else the newest `limit`. */
    private readAll;
    private history;
    private presence;
    private request;
    private page;
    /** Rejects if the broker does not let this client receive a topic or pattern. */
    private probe;
    private read;
    /** Publishes a batch in one call. If that is refused, each is published alone, so that only the cause is refused. */
    private publish;
    /** Returns why the broker refused the call. */
    private publishTogether;
    private published;
    private restart;
    /** Waits for a call. If that takes long, the receiver gives up its connection, which may be the last one of the browser. */
    private withRoom;
    private attempt;
    private reply;
    private refuse;
}
