import type { Codec } from '../frames.js';
import type { Link, LinkListener } from '../link.js';
/** The part of a WebSocket that is used, so that other implementations than the browser's fit, such as that of the package `ws`. */
export interface WebSocketLike {
    binaryType: string;
    readonly readyState: number;
    onopen: ((event: any) => any) | null;
    onmessage: ((event: any) => any) | null;
    onerror: ((event: any) => any) | null;
    onclose: ((event: any) => any) | null;
    send(data: any): void;
    close(code?: number): void;
}
/** The constructor of a WebSocket. */
export type WebSocketClass = new (url: string, protocols: string) => WebSocketLike;
/**
 * Opens a WebSocket. `signal` cancels it. A frame of more than `frameBytesMax` bytes is refused with a `FanwireError`, because the broker
 * would end the connection for it. Rejects with a `LinkEnd`.
 */
export declare function dialWebSocket(Socket: WebSocketClass, url: string, codec: Codec, frameBytesMax: number, listener: LinkListener, signal: AbortSignal): Promise<Link>;
