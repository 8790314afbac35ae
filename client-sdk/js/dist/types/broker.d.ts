import { Emitter } from './emitter.js';
import { type RequestOptions } from './exchange.js';
import { type Payload, type Place, type Position } from './frames.js';
import { type Options } from './options.js';
import { type Message } from './payload.js';
import type { Status } from './status.js';
import { type Member, type SubscribeOptions, Subscription } from './subscription.js';
/** The events of a broker, for `on`. */
export interface BrokerEvents {
    /** The status of the connection: the present one first, then every change. */
    status: Status;
    /** An error occurred and was printed. A promise that it concerns rejects with it, too. */
    error: Error;
}
/** Options of `publish`. */
export interface PublishOptions extends RequestOptions {
    /** The idempotency key. It makes repeating safe, so that a publish is sent again after a lost connection. */
    key?: string;
    /** `false`: the publication is not delivered to this client. */
    echo?: boolean;
}
/** The broker's confirmation that it has accepted a publication. */
export interface Receipt {
    topic: string;
    /** Undefined when the topic keeps no history. */
    position?: Position | undefined;
    /** Whether the broker knew the key: the payload was published before, and not again. */
    duplicate: boolean;
}
/** Options of `history`. */
export interface HistoryOptions extends RequestOptions {
    /** After this place, or before it with `reverse`. */
    since?: Place;
    /** The maximum number of messages. */
    limit?: number;
    /** Newest first. */
    reverse?: boolean;
}
/** The publications that a topic holds. */
export interface History {
    messages: Message[];
    /** The newest position of the topic. */
    position?: Position | undefined;
    /** Whether there are more messages in the direction of reading. */
    more: boolean;
    /** Whether publications between `since` and the first message are no longer held. */
    gap: boolean;
}
/** A connection to a broker, made by `connect`. */
export declare class Broker extends Emitter<BrokerEvents> {
    /** Settles with the first attempt to connect. It rejects if that failed, also when more attempts follow. */
    readonly ready: Promise<Status>;
    private readonly exchange;
    private readonly channels;
    private readonly connection;
    private readonly log;
    private readonly payloadBytesMax;
    private settle;
    private isComplaining;
    /** The error that was printed last. It may end the connection and several requests, and is printed once. */
    private printed;
    /** Throws a `FanwireError` with code `bad_url` or `bad_option`. */
    constructor(url: string | URL, options?: Options);
    /** The present status of the connection. */
    get status(): Status;
    /** The present status and its changes, for `for await`. */
    statuses(): AsyncIterableIterator<Status>;
    /**
     * Subscribes to a topic or pattern. `handler` is called with every message once, in the order of the topic, also when the connection breaks in
     * between. Without a handler, messages are kept (at most 1000) until there is a listener or a `for await` loop. Throws a
     * `FanwireError` with code `bad_option` for wrong options; what the broker refuses is the error of the subscription alone.
     */
    subscribe(topic: string, handler?: (message: Message) => unknown, options?: SubscribeOptions): Subscription;
    subscribe(topic: string, options?: SubscribeOptions): Subscription;
    /**
     * Publishes a payload: a string as text, bytes as binary, anything else as JSON. The payload is read before this returns. Resolves when the
     * broker has accepted it.
     */
    publish(topic: string, payload: Payload, options?: PublishOptions): Promise<Receipt>;
    /** Reads what a topic still holds, without subscribing. */
    history(topic: string, options?: HistoryOptions): Promise<History>;
    /** Returns the members of a topic with presence. */
    presence(topic: string, options?: RequestOptions): Promise<Member[]>;
    /** Sends a request to the application behind the broker, and returns its answer. */
    request<T = unknown>(method: string, payload?: Payload, options?: RequestOptions): Promise<T>;
    /** Ends the connection, all subscriptions and all requests. */
    close(): void;
    protected backlog<Name extends keyof BrokerEvents>(name: Name): BrokerEvents[Name][];
    private checked;
    /** Sends the request that `fields` returns. `read` is called with the answer before any later frame is processed. */
    private send;
    /** Returns what the connection calls. */
    private client;
    private received;
    private changed;
    private stop;
    private report;
    private complain;
    private warn;
    /** Prints. A log that fails, for example to show an odd value, does not affect the client. */
    private print;
}
/**
 * Connects to the broker at `url`: `http://host:7400`, `wss://host/ws`, or on a page the path under which the host of the page
 * serves the broker. Returns at once. Requests wait for the connection. Throws a `FanwireError` with code `bad_url` or
 * `bad_option`.
 */
export declare function connect(url?: string | URL, options?: Options): Broker;
