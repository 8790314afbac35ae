import type { ErrorCode } from './errors.js';
import type { ClientFrame, ClosingFrame, ServerFrame } from './frames.js';
/** The transports. */
export type TransportName = 'websocket' | 'sse' | 'polling';
/** One connection to the broker. */
export interface Link {
    /** Sends a frame, or drops it when the link has ended. Throws a `FanwireError` for a frame that cannot be sent. */
    send(frame: ClientFrame): void;
    /** Ends the link without calling the listener. */
    close(): void;
    /** Checks now whether the link still works, because the machine may have slept. */
    check?(): void;
}
/** Why a link ended. */
export interface LinkEnd {
    /** The WebSocket close code, if there was one. */
    code?: number | undefined;
    reason: string;
    /** The `closing` frame, if there was one. */
    closing?: ClosingFrame | undefined;
    /** The broker's error, if it refused the connection. */
    error?: {
        code: ErrorCode;
        message: string;
        status?: number | undefined;
    } | undefined;
    /** An intermediary does not let this transport through: use the next one. */
    isUnfit?: boolean | undefined;
}
/** Receives what a link brings. */
export interface LinkListener {
    frame(frame: ServerFrame): void;
    /** Something other than a frame arrived: the link works. */
    alive(): void;
    /** The link ended. Called once, and last. */
    ended(end: LinkEnd): void;
}
/** Opens a link. Rejects with a `LinkEnd`. */
export type Dial = (listener: LinkListener) => Promise<Link>;
