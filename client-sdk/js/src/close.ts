//! What to do when a connection ends: come back, when, or not at all.

import type { ClosingFrame } from './frames.ts';

/** The longest wait before coming back that a broker may ask for, in milliseconds; a longer one is cut to this. */
const AFTER_MAX_MS = 300_000;

/** The codes of the protocol and of RFC 6455 after which coming back unchanged would end the same way. */
const FINAL = new Set([1000, 1002, 1003, 1007, 1008, 1009, 1010]);

/** The codes from 4000 to 4499 after which it makes sense to come back (docs/protocol.md, Close codes). */
const PASSING = new Set([4408, 4413, 4429]);

/** Close codes that this side looks at itself. */
export const CLOSE_TOO_LARGE = 1009;
export const CLOSE_UNAUTHORIZED = 4401;

/** What follows from a connection that ended. */
export interface Verdict {
  again: boolean;
  /** The time to wait that the broker named, in milliseconds. */
  afterMs?: number | undefined;
}

/**
 * The verdict of a `closing` frame, or else of a close code. Of the codes nobody documented, 4000 to 4499 mean that this
 * side is at fault, in the manner of HTTP's 4xx; all others are somebody's passing trouble.
 */
export function verdictOf(closing: ClosingFrame | undefined, code: number | undefined): Verdict {
  if (closing) {
    const { reconnect: again, after_ms: after } = closing;
    return { again, afterMs: again && after !== undefined ? Math.min(after, AFTER_MAX_MS) : undefined };
  }
  if (code === undefined) return { again: true };
  return { again: !FINAL.has(code) && (code < 4000 || code >= 4500 || PASSING.has(code)) };
}
