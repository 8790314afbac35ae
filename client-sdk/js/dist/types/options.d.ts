import type { Reconnect } from './backoff.js';
import type { Clock } from './clock.js';
import type { TokenSource } from './credentials.js';
import type { Codec } from './frames.js';
import type { TransportName } from './link.js';
import type { Memory } from './transports/choice.js';
import type { Fetch } from './transports/diagnosis.js';
import type { Opener } from './transports/dialer.js';
import type { WebSocketClass } from './transports/websocket.js';
/** Options of `connect`. */
export interface Options {
    /** A token, or a function that returns one. The function is called again before the token ends, and when the broker refuses it. */
    token?: TokenSource;
    /** The name of the client software, shown to the broker's operators. */
    name?: string;
    /** The transports that may be used, best first. The default is WebSocket, then Server-Sent Events with POST, then long polling. */
    transports?: TransportName[];
    /** How to reconnect. */
    reconnect?: Reconnect;
    /** The time-out of requests and of the token function, in milliseconds. The default is 10 s. */
    timeoutMs?: number;
    /** The maximum size of a payload, in bytes. The default is 1 MiB, like the broker's. */
    payloadBytesMax?: number;
    /** The encoding over WebSocket: JSON by default, or `msgpack` of `fanwire/msgpack`. */
    codec?: Codec;
    /** One connection for all tabs of this browser: `tabs()` of `fanwire/tabs`. By default each tab has its own. */
    share?: Sharing;
    /** Where errors are printed: the console by default, nowhere with `false`. */
    log?: Pick<Console, 'error' | 'warn'> | false;
    /** The WebSocket to use, such as that of the package `ws` in Node 20, which has none. */
    WebSocket?: WebSocketClass;
    /** The `fetch` to use in place of the global one. */
    fetch?: Fetch;
    /** The time and randomness to use, for tests. */
    clock?: Clock;
    /** Where to remember which transports get through, in place of `localStorage`. */
    memory?: Memory;
}
/** Returns what opens the connections of a client, in place of its own opener. */
export type Sharing = (own: Own) => Opener;
/** What a shared connection needs of a client. */
export interface Own {
    /** The address of the broker. */
    address: string;
    /** Returns the opener for a connection that is not shared. */
    opener(): Opener;
    /** Returns another client, a `Broker`, with the same options and a connection of its own. Options do not know the client's type. */
    alone(): unknown;
}
/** The time-out for opening a connection, in milliseconds. The next transport is tried after it. */
export declare const DIAL_MS = 6000;
/** The default time-out of a request, in milliseconds. */
export declare const TIMEOUT_MS = 10000;
/** The default maximum size of a payload, in bytes. */
export declare const PAYLOAD_BYTES_MAX: number;
/** All transports, best first. */
export declare const TRANSPORTS: readonly TransportName[];
/** Returns the browser's `localStorage`, if there is one and the page may use it. */
export declare function browserMemory(): Memory | undefined;
