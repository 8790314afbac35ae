//! What `connect` takes, and what holds where nothing is said.

import type { Reconnect } from './backoff.ts';
import type { Broker } from './broker.ts';
import type { Clock } from './clock.ts';
import type { TokenSource } from './credentials.ts';
import type { ErrorCode, FanwireError } from './errors.ts';
import type { Codec } from './frames.ts';
import type { TransportName } from './link.ts';
import type { Memory } from './transports/choice.ts';
import type { Fetch } from './transports/diagnosis.ts';
import type { Opener } from './transports/dialer.ts';
import type { WebSocketClass } from './transports/websocket.ts';

/** Options of `connect`. */
export interface Options {
  /** Who this is: a token, or a function that gets one. A function is asked again before the token ends, and when it is refused. */
  token?: TokenSource;
  /** The name of the client software, shown to the broker's operators. */
  name?: string;
  /** What may carry the connection, best first; WebSocket, then Server-Sent Events with POST, then long polling if not said. */
  transports?: TransportName[];
  /** How to reconnect. */
  reconnect?: Reconnect;
  /** How long a request waits for its answer, in milliseconds; 10 s if not said. */
  timeoutMs?: number;
  /** The largest payload that is sent, in bytes; 1 MiB if not said, like the broker's. */
  payloadBytesMax?: number;
  /** The encoding over WebSocket; JSON if not said, or `msgpack` of `fanwire/msgpack`. */
  codec?: Codec;
  /** One connection for all tabs of this browser: `tabs()` of `fanwire/tabs`. Each tab has its own if not said. */
  share?: Sharing;
  /** Where errors are printed; the console if not said, nowhere with `false`. */
  log?: Pick<Console, 'error' | 'warn'> | false;
  /** The WebSocket to use where there is none, or another than the browser's: that of the package `ws` in Node 20. */
  WebSocket?: WebSocketClass;
  /** The `fetch` to use in place of the global one. */
  fetch?: Fetch;
  /** The time and chance to use in place of the machine's; for tests. */
  clock?: Clock;
  /** Where it is remembered which transports get through, in place of `localStorage`. */
  memory?: Memory;
}

/** Makes what opens the connections of a client, in place of its own opener. */
export type Sharing = (own: Own) => Opener;

/** What a client can do by itself, for whoever shares. */
export interface Own {
  /** The address of the broker. */
  address: string;
  /** The opener that is used where nothing is shared. */
  opener(): Opener;
  /** Another client of the same broker with the same options, which shares nothing. */
  alone(): Broker;
  /** Makes an error of one that came from another tab. */
  makeError(error: { code: ErrorCode; message: string; status?: number | undefined }): FanwireError;
}

/** How long opening a connection may take before the next transport is tried, in milliseconds. */
export const DIAL_MS = 6000;

/** How long a request waits for its answer if nothing is said, in milliseconds. */
export const TIMEOUT_MS = 10_000;

/** The largest payload if nothing is said, in bytes. */
export const PAYLOAD_BYTES_MAX = 1024 * 1024;

/** All transports, best first. */
export const TRANSPORTS: readonly TransportName[] = ['websocket', 'sse', 'polling'];

/** The browser's `localStorage`, where there is one and the page may use it. */
export function browserMemory(): Memory | undefined {
  try {
    return globalThis.localStorage;
  } catch {
    return undefined;
  }
}
