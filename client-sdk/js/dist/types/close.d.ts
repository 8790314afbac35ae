import type { ClosingFrame } from './frames.js';
/** Close codes with a special treatment in the client. */
export declare const CLOSE_TOO_LARGE = 1009;
export declare const CLOSE_UNAUTHORIZED = 4401;
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
export declare function verdictOf(closing: ClosingFrame | undefined, code: number | undefined): Verdict;
