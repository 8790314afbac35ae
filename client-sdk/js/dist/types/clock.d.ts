/** A source of time and randomness. */
export interface Clock {
    /** Returns milliseconds since a fixed moment. The value may jump when the machine sleeps. */
    now(): number;
    /** Returns a number drawn evenly from 0 (included) to 1 (excluded). */
    random(): number;
    /** Runs `action` once after `ms` milliseconds. Returns a function that cancels it. */
    after(ms: number, action: () => void): () => void;
}
/** The clock of the machine. */
export declare const systemClock: Clock;
