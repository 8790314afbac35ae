import type { Clock } from '../clock.js';
import { FanwireError } from '../errors.js';
import type { Fetch } from './diagnosis.js';
/** A refusal, with the wait that the broker named in `Retry-After`. */
export declare class Refusal extends FanwireError {
    afterMs: number | undefined;
}
/** A call that failed on its way. The broker may or may not have processed it. */
export declare class CallLost extends Error {
}
/** The HTTP interface of one broker. */
export declare class Calls {
    private readonly base;
    private readonly fetch;
    private readonly token;
    private readonly clock;
    constructor(base: string, fetch: Fetch, token: () => string | undefined, clock: Clock);
    /** Sends a request to `path`. Rejects with a `FanwireError` when it is refused, and with `CallLost` when there is no answer. */
    send(path: string, init?: RequestInit & {
        headers?: Record<string, string>;
    }): Promise<Response>;
    /** Sends a request and reads the JSON of the answer. */
    read<T>(path: string, signal: AbortSignal, init?: RequestInit, ms?: number): Promise<T>;
    /** Sends JSON and reads the JSON of the answer. */
    post<T>(path: string, body: unknown, signal: AbortSignal): Promise<T>;
    /** Sends a payload, bytes as they are and others as JSON. Returns the payload of the answer. */
    request(path: string, data: unknown, signal: AbortSignal): Promise<unknown>;
    /** Sends a request and reads its answer within `ms`. The listener on `signal` lives as long as the call. */
    private within;
}
