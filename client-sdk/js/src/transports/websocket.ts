//! The protocol over a WebSocket: frames go in and come out as messages.

import type { ClientFrame, ClosingFrame, Codec } from '../frames.ts';
import type { Link, LinkEnd, LinkListener } from '../link.ts';

/** The part of the WebSocket API that is used, for implementations that are no browser's. */
export type WebSocketClass = new (url: string, protocols?: string | string[]) => WebSocket;

/** Opens a WebSocket. `signal` gives it up. */
export function dialWebSocket(
  Socket: WebSocketClass, url: string, codec: Codec, listener: LinkListener, signal: AbortSignal,
): Promise<Link> {
  return new Promise((resolve, reject) => {
    const socket = new Socket(url, codec.subprotocol);
    socket.binaryType = 'arraybuffer';
    let closing: ClosingFrame | undefined;
    let isOver = false;
    const finish = (end: LinkEnd) => {
      if (isOver) return;
      isOver = true;
      signal.removeEventListener('abort', giveUp);
      reject(end);  // Does nothing once it is open.
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
        finish({ code: 1002, reason: `the broker sent what is no frame: ${String(error)}` });
        return socket.close(4000);
      }
      if (frame.type === 'closing') closing = frame;
      else listener.frame(frame);
    };
    // An error is always followed by a close, and says nothing that the close does not.
    socket.onerror = () => {};
    socket.onclose = ({ code, reason }) => {
      const known = code === 1005 || code === 1006 ? undefined : code;
      finish({ code: known, reason: closing?.reason || reason || 'the connection broke', closing });
    };
  });
}
