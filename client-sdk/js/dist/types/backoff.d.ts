/** How a client reconnects. */
export interface Reconnect {
    /** The maximum of the first wait, in milliseconds. The default is 250 ms. */
    baseMs?: number;
    /** The maximum of every wait, in milliseconds. The default is 20 s. */
    capMs?: number;
    /** The number of failed attempts in a row after which the client gives up. By default it never does. */
    attemptsMax?: number;
}
/** The minimum of every wait, in milliseconds. */
export declare const FLOOR_MS = 50;
/** The attempts since the last connection that held. */
export declare class Backoff {
    /** The number of attempts. */
    attempts: number;
    private readonly base;
    private readonly cap;
    private readonly most;
    constructor(policy?: Reconnect);
    /**
     * Counts an attempt and returns the wait before it, in milliseconds; undefined after the last attempt. `namedMs` is the wait that
     * the broker named: it replaces the drawn one at the first attempt, and is the minimum of later ones.
     */
    next(random: number, namedMs?: number): number | undefined;
    /** Starts over, because a connection held. */
    reset(): void;
}
