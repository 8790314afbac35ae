//! The wait before a connection is made again: full jitter, so that clients that were cut off together do not return together.
//!
//! The wait before attempt n is drawn evenly from 0 to `min(cap, base × 2ⁿ)` ("Exponential Backoff And Jitter", Marc
//! Brooker, AWS Architecture Blog, 2015), with a floor. This file owns no clock and no random numbers.

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
export const FLOOR_MS = 50;

/** The attempts since the last connection that held. */
export class Backoff {
  /** The number of attempts. */
  attempts = 0;
  private readonly base: number;
  private readonly cap: number;
  private readonly most: number;

  constructor(policy: Reconnect = {}) {
    this.base = policy.baseMs ?? 250;
    this.cap = policy.capMs ?? 20_000;
    this.most = policy.attemptsMax ?? Infinity;
  }

  /**
   * Counts an attempt and returns the wait before it, in milliseconds; undefined after the last attempt. `namedMs` is the wait that
   * the broker named: it replaces the drawn one at the first attempt, and is the minimum of later ones.
   */
  next(random: number, namedMs?: number): number | undefined {
    if (this.attempts >= this.most) return undefined;
    const drawn = Math.min(this.cap, this.base * 2 ** this.attempts) * random;
    this.attempts += 1;
    return Math.max(FLOOR_MS, this.attempts > 1 ? drawn : namedMs ?? drawn, namedMs ?? 0);
  }

  /** Starts over, because a connection held. */
  reset(): void {
    this.attempts = 0;
  }
}
