//! What to do when a connection ends: whether to reconnect, and when.

import type { ClosingFrame } from './frames.ts';

/** The maximum wait that a broker may request before the client reconnects, in milliseconds. A longer one is cut to this. */
const AFTER_MAX_MS = 300_000;

/** The codes of the protocol and of RFC 6455 after which an unchanged client would fail again. */
const FINAL = new Set([1000, 1002, 1003, 1007, 1008, 1009, 1010]);

/** The codes from 4000 to 4499 after which the client reconnects (docs/protocol.md, Close codes). */
const PASSING = new Set([4408, 4413, 4429]);

/** Close codes with a special treatment in the client. */
export const CLOSE_TOO_LARGE = 1009;
export const CLOSE_UNAUTHORIZED = 4401;

/** What follows from the end of a connection. */
export interface Verdict {
  again: boolean;
  /** The wait that the broker named, in milliseconds. */
  afterMs?: number | undefined;
}

/**
 * Returns the verdict of a `closing` frame, or else of a close code. Among unknown codes, 4000 to 4499 mean a fault of the client,
 * like 4xx in HTTP. All others mean a passing fault.
 */
export function verdictOf(closing: ClosingFrame | undefined, code: number | undefined): Verdict {
  if (closing) {
    const { reconnect: again, after_ms: after } = closing;
    return { again, afterMs: again && after !== undefined ? Math.min(after, AFTER_MAX_MS) : undefined };
  }
  if (code === undefined) return { again: true };
  return { again: !FINAL.has(code) && (code < 4000 || code >= 4500 || PASSING.has(code)) };
}
