import type { Clock } from './clock.js';
/** Why a token is requested: for a connection, because the present token ends soon, or because the broker refused it. */
export type TokenReason = 'connect' | 'expiring' | 'refused';
/** A token, or a function that returns one. The function is called for every connection, and before the token ends. */
export type TokenSource = string | ((reason: TokenReason) => string | Promise<string>);
/** The credentials of one client. */
export declare class Credentials {
    private readonly source;
    private readonly clock;
    private readonly timeoutMs;
    /** The present token. */
    current: string | undefined;
    constructor(source: TokenSource | undefined, clock: Clock, timeoutMs: number);
    /** Whether there is a function that can return another token. */
    get isRenewable(): boolean;
    /** Returns a token. Rejects with a `FanwireError` when the application's function fails, or does not settle in time. */
    fetch(reason: TokenReason): Promise<string | undefined>;
    /**
     * Returns the milliseconds until the present token should be renewed; undefined when it names no end, or when its end is past by the clock of this
     * machine, which is then wrong: the broker ends the session when the token ends.
     */
    renewalMs(now: number): number | undefined;
}
/** Returns when a JWT ends (RFC 7519 §4.1.4), in milliseconds since 1970; undefined for any other token. */
export declare function expiryMs(token: string | undefined): number | undefined;
