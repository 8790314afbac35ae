/** What went wrong, for programs. The first twelve codes are the broker's (docs/protocol.md), the others are the client's. */
export type ErrorCode = 'bad_frame' | 'bad_topic' | 'unauthorized' | 'token_expired' | 'forbidden' | 'not_subscribed' | 'too_large' | 'rate_limited' | 'limit_exceeded' | 'history_off' | 'unavailable' | 'internal'
/** The URL given to `connect` cannot be the URL of a broker. */
 | 'bad_url'
/** An option or event does not exist, is in the wrong place, or has a value of the wrong type. */
 | 'bad_option'
/** No server answers at the URL. */
 | 'unreachable'
/** A server answers at the URL, but it is not a fanwire broker. */
 | 'not_a_broker'
/** No answer arrived in time. */
 | 'timeout'
/** The connection broke before the answer arrived. The broker may or may not have processed the request. */
 | 'connection_lost'
/** The broker ended the connection for good. */
 | 'disconnected'
/** The application called `close()`. */
 | 'closed';
/** An error with a `code` for programs and a `message` that says what happened and what to do. */
export declare class FanwireError extends Error {
    /** What went wrong. */
    readonly code: ErrorCode;
    /** The WebSocket close code or HTTP status behind it, if there was one. */
    readonly status: number | undefined;
    constructor(code: ErrorCode, message: string, more?: {
        status?: number | undefined;
        cause?: unknown;
    });
}
/** Returns a `FanwireError` for any thrown value. `what` says what failed. */
export declare function asError(thrown: unknown, code: ErrorCode, what: string): FanwireError;
/** Returns the text of a thrown value. It never throws, not even for a value without a text. */
export declare function textOf(thrown: unknown): string;
