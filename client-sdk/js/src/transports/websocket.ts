//! The protocol over a WebSocket: each frame is one message.

import { FanwireError, textOf } from '../errors.ts';
import type { ClientFrame, ClosingFrame, Codec } from '../frames.ts';
import type { Link, LinkEnd, LinkListener } from '../link.ts';

/** The part of a WebSocket that is used, so that other implementations than the browser's fit, such as that of the package `ws`. */
export interface WebSocketLike {
  binaryType: string;
  readonly readyState: number;
  // Implementations have event types of their own.
  /* eslint-disable @typescript-eslint/no-explicit-any */
  onopen: ((event: any) => any) | null;
  onmessage: ((event: any) => any) | null;
  onerror: ((event: any) => any) | null;
  onclose: ((event: any) => any) | null;
  send(data: any): void;
  /* eslint-enable */
  close(code?: number): void;
}

/** The constructor of a WebSocket. */
export type WebSocketClass = new (url: string, protocols: string) => WebSocketLike;

/**
 * Opens a WebSocket. `signal` cancels it. A frame of more than `frameBytesMax` bytes is refused with a `FanwireError`, because the broker
 * would end the connection for it. Rejects with a `LinkEnd`.
 */
export function dialWebSocket(
  Socket: WebSocketClass, url: string, codec: Codec, frameBytesMax: number, listener: LinkListener, signal: AbortSignal,
): Promise<Link> {
  return new Promise((resolve, reject) => {
    let socket: WebSocketLike;
    try {
      socket = new Socket(url, codec.subprotocol);
    } catch (thrown) {
      return reject({ reason: textOf(thrown) } satisfies LinkEnd);
    }
    socket.binaryType = 'arraybuffer';
    let closing: ClosingFrame | undefined;
    let isOver = false;
    const finish = (end: LinkEnd) => {
      if (isOver) return;
      isOver = true;
      signal.removeEventListener('abort', giveUp);
      reject(end);  // Has no effect once the link is open.
      listener.ended(end);
    };
    const giveUp = () => {
      finish({ reason: 'no WebSocket in time' });
      socket.close();
    };
    signal.addEventListener('abort', giveUp);
    const link: Link = {
      send(frame: ClientFrame) {
        const data = codec.encode(frame);
        const size = typeof data === 'string' && data.length * 3 > frameBytesMax ? new TextEncoder().encode(data).length : data.length;
        if (size > frameBytesMax) throw new FanwireError('too_large', `${frame.type}: the frame has ${size} bytes, the broker takes at most ${frameBytesMax}: send less`);
        if (socket.readyState === 1) socket.send(data as string);
      },
      close() {
        isOver = true;
        socket.close(1000);
      },
    };
    socket.onopen = () => {
      signal.removeEventListener('abort', giveUp);
      resolve(link);
    };
    socket.onmessage = ({ data }: MessageEvent<string | ArrayBuffer>) => {
      if (isOver) return;
      let frame;
      try {
        frame = codec.decode(typeof data === 'string' ? data : new Uint8Array(data));
      } catch (error) {
        finish({ code: 1002, reason: `the broker sent a message that is not a frame: ${textOf(error)}` });
        return socket.close(4000);
      }
      if (frame.type === 'closing') closing = frame;
      else listener.frame(frame);
    };
    // A close event follows every error event, and has all information.
    socket.onerror = () => {};
    socket.onclose = ({ code, reason }: { code: number; reason: string }) => {
      const known = code === 1005 || code === 1006 ? undefined : code;
      finish({ code: known, reason: closing?.reason || reason || 'the connection broke', closing });
    };
  });
}
