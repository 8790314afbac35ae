import type { Clock } from './clock.js';
/** The time-outs for the answer to a ping, in milliseconds: normally, and after a sleep. */
export declare const PONG_MS = 10000;
export declare const WAKE_PONG_MS = 4000;
/** Watches one link. */
export declare class Life {
    private readonly clock;
    private readonly intervalMs;
    private readonly ping;
    private readonly dead;
    private cancel;
    private isPinging;
    /** `ping` sends a ping. `dead` is called when nothing arrives in time. */
    constructor(clock: Clock, intervalMs: number, ping: () => void, dead: () => void);
    /** Records that something arrived. */
    heard(): void;
    /** Sends a ping now, unless one waits for its answer. */
    probe(answerMs: number): void;
    /** Ends the watch. */
    stop(): void;
}
