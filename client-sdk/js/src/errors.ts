//! The one kind of error that the SDK throws, rejects with and prints. What to do about each code is for the caller.

/** What went wrong, for programs. The first twelve are the broker's own (docs/protocol.md), the others the SDK's. */
export type ErrorCode =
  | 'bad_frame' | 'bad_topic' | 'unauthorized' | 'token_expired' | 'forbidden' | 'not_subscribed' | 'too_large'
  | 'rate_limited' | 'limit_exceeded' | 'history_off' | 'unavailable' | 'internal'
  /** The URL given to `connect` cannot be one of a broker. */
  | 'bad_url'
  /** Nobody answers at the URL. */
  | 'unreachable'
  /** Somebody answers at the URL, and it is no fanwire broker. */
  | 'not_a_broker'
  /** No answer came in time. */
  | 'timeout'
  /** The connection broke before the answer came: whether it was done is unknown. */
  | 'connection_lost'
  /** The broker ended the connection, and not to be taken up again. */
  | 'disconnected'
  /** `close()` was called. */
  | 'closed';

/** An error with a `code` for programs and a `message` that says what happened and what to do. */
export class FanwireError extends Error {
  /** What went wrong. */
  readonly code: ErrorCode;
  /** The WebSocket close code or HTTP status behind it, where there was one. */
  readonly status: number | undefined;

  constructor(code: ErrorCode, message: string, more: { status?: number | undefined; cause?: unknown } = {}) {
    super(message, more.cause === undefined ? undefined : { cause: more.cause });
    this.name = 'FanwireError';
    this.code = code;
    this.status = more.status;
  }
}

/** Makes a `FanwireError` of whatever was thrown. */
export function asError(thrown: unknown, code: ErrorCode, what: string): FanwireError {
  if (thrown instanceof FanwireError) return thrown;
  const detail = thrown instanceof Error ? thrown.message : String(thrown);
  return new FanwireError(code, `${what}: ${detail}`, { cause: thrown });
}
