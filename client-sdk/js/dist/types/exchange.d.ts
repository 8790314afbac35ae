import type { Clock } from './clock.js';
import { FanwireError } from './errors.js';
import { type ClientFrame, type ReplyFrame, type ServerFrame } from './frames.js';
import type { Link } from './link.js';
/** Options of every request. */
export interface RequestOptions {
    /** The time-out for the answer, including the time to connect, in milliseconds. The default is 10 s. */
    timeoutMs?: number;
    /** Stops waiting. The broker may still process a request that was sent. */
    signal?: AbortSignal;
}
/** The receiver of an answer. It is called before any later frame is processed. */
export interface Requester {
    resolve(reply: ReplyFrame): void;
    reject(error: unknown): void;
}
/** The pending requests. */
export declare class Exchange {
    private readonly clock;
    private readonly timeoutMs;
    /** Why there is no connection, for the errors of requests that waited for one. */
    trouble: FanwireError | undefined;
    private hasSentPayload;
    private link;
    private end;
    private lastId;
    private readonly pending;
    constructor(clock: Clock, timeoutMs: number);
    /** Sends a request as soon as there is a connection, and passes the answer to `requester`. */
    send(frame: ClientFrame, { signal, timeoutMs }: RequestOptions, isRepeatable: boolean, requester: Requester): void;
    /** Sends a frame without an answer, if there is a connection. */
    tell(frame: ClientFrame): void;
    /** Sends requests over `link` from now on. */
    attach(link: Link): void;
    /** Sends the requests that waited for a connection, in their order. */
    flush(): void;
    /** The connection ended. */
    detach(cause: FanwireError): void;
    /** Rejects all requests: there will be no connection any more. */
    close(error: FanwireError): void;
    /**
     * Rejects the largest payload that was sent and not answered, because the broker ended the connection for the size of a message. The broker has
     * processed nothing that was sent after it, so that is sent again. Returns whether any payload was sent over this connection.
     */
    blame(error: FanwireError): boolean;
    /** Passes an answer to its request. Returns whether there is one. */
    answered(frame: ServerFrame): boolean;
    private transmit;
    private nextId;
    private late;
}
