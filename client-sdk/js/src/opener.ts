//! Makes what opens the connections of one client, from its options.

import type { Address } from './address.ts';
import type { Clock } from './clock.ts';
import type { Credentials } from './credentials.ts';
import { json } from './frames.ts';
import type { Dial } from './link.ts';
import { loadHttp } from './load-http.ts';
import { browserMemory, DIAL_MS, type Options, PAYLOAD_BYTES_MAX, TRANSPORTS } from './options.ts';
import { TransportChoice } from './transports/choice.ts';
import { Dialer, type Dials, type Opener } from './transports/dialer.ts';
import { dialWebSocket, type WebSocketClass } from './transports/websocket.ts';

/** Returns the opener. `warn` prints. */
export function makeOpener(
  address: Address, options: Options, credentials: Credentials, clock: Clock, warn: (text: string) => void,
): Opener {
  const Socket = options.WebSocket ?? globalThis.WebSocket as WebSocketClass | undefined;
  const codec = options.codec ?? json;
  const fetch = options.fetch ?? globalThis.fetch.bind(globalThis);
  const transports = (options.transports ?? TRANSPORTS).filter((name) => name !== 'websocket' || Socket !== undefined);
  const choice = new TransportChoice(transports, address.http, options.memory ?? browserMemory());
  const overHttp = (transport: 'sse' | 'polling') => (): Dial => async (listener) => {
    const { linkOverHttp } = await loadHttp(address.http);
    return linkOverHttp(transport, address.http, fetch, () => credentials.current, clock, listener);
  };
  // The broker's own bound of a frame (docs/protocol.md).
  const frameBytesMax = (options.payloadBytesMax ?? PAYLOAD_BYTES_MAX) * 1.5 + 4096;
  const dials: Dials = {
    websocket: (signal) => (listener) => dialWebSocket(Socket!, address.websocket, codec, frameBytesMax, listener, signal),
    sse: overHttp('sse'),
    polling: overHttp('polling'),
  };
  return new Dialer(address, choice, dials, fetch, clock, DIAL_MS, warn);
}
