//! How long to wait before connecting again: full jitter, so that clients cut off together do not come back together.
//!
//! The wait before attempt n is drawn evenly from 0 to `min(cap, base × 2ⁿ)` ("Exponential Backoff And Jitter", Marc
//! Brooker, AWS Architecture Blog, 2015). It owns no clock and draws no random numbers.

/** How a client reconnects. */
export interface Reconnect {
  /** The first wait is at most this long; 250 ms if not said. */
  baseMs?: number;
  /** No wait is longer than this; 20 s if not said. */
  capMs?: number;
  /** After so many attempts in a row without success the client gives up; never if not said. */
  attemptsMax?: number;
}

/** The attempts since the last connection that held. */
export class Backoff {
  /** How many attempts have been counted. */
  attempts = 0;
  private readonly base: number;
  private readonly cap: number;
  private readonly most: number;

  constructor(policy: Reconnect = {}) {
    this.base = policy.baseMs ?? 250;
    this.cap = policy.capMs ?? 20_000;
    this.most = policy.attemptsMax ?? Infinity;
  }

  /** Counts one more attempt and says how long to wait before it, in milliseconds; undefined when there were enough. */
  next(random: number): number | undefined {
    if (this.attempts >= this.most) return undefined;
    const bound = Math.min(this.cap, this.base * 2 ** this.attempts);
    this.attempts += 1;
    return bound * random;
  }

  /** Starts over: a connection held. */
  reset(): void {
    this.attempts = 0;
  }
}
