//! Time and chance as the SDK uses them, so that tests can hold both still. It knows nothing of what is timed.

/** Where time and randomness come from. */
export interface Clock {
  /** Milliseconds since any fixed moment; may jump when the machine sleeps. */
  now(): number;
  /** A number drawn evenly from 0 (included) to 1 (excluded). */
  random(): number;
  /** Runs `action` once after `ms` milliseconds, and returns what calls it off. */
  after(ms: number, action: () => void): () => void;
}

/** The machine's own clock. */
export const systemClock: Clock = {
  now: () => Date.now(),
  random: () => Math.random(),
  after(ms, action) {
    const timer = setTimeout(action, ms);
    return () => clearTimeout(timer);
  },
};
