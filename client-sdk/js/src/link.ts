//! A link: one connection to the broker, whatever carries it, that takes and gives the frames of the protocol. Those that
//! are no WebSocket translate; nothing above this file knows which it is.

import type { FanwireError } from './errors.ts';
import type { ClientFrame, ClosingFrame, ServerFrame } from './frames.ts';

/** What can carry a connection. */
export type TransportName = 'websocket' | 'sse' | 'polling';

/** One connection to the broker. */
export interface Link {
  /** Sends a frame, or forgets it when the link has ended. */
  send(frame: ClientFrame): void;
  /** Ends it without a word to the listener. */
  close(): void;
  /** Makes sure, now, that it still carries: the machine may have slept. A link that cannot tell does nothing. */
  check?(): void;
}

/** Why a link ended. */
export interface LinkEnd {
  /** The WebSocket close code, if there was one. */
  code?: number | undefined;
  reason: string;
  /** What the broker said before it. */
  closing?: ClosingFrame | undefined;
  /** What the broker answered in place of a connection. */
  error?: FanwireError | undefined;
  /** Something in between does not let this transport through: use the next one. */
  isUnfit?: boolean | undefined;
}

/** Who hears what a link brings. */
export interface LinkListener {
  frame(frame: ServerFrame): void;
  /** Something came that is no frame: the link lives. */
  alive(): void;
  /** Told once; nothing comes after it. */
  ended(end: LinkEnd): void;
}

/** Opens a link; rejects with a `LinkEnd` that says why there is none. */
export type Dial = (listener: LinkListener) => Promise<Link>;
