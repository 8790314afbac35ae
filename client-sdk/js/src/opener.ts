//! Puts together what opens the connections of one client, from its options.

import type { Address } from './address.ts';
import type { Clock } from './clock.ts';
import type { Credentials } from './credentials.ts';
import { json } from './frames.ts';
import type { Dial } from './link.ts';
import { browserMemory, DIAL_MS, type Options, TRANSPORTS } from './options.ts';
import { Calls } from './transports/calls.ts';
import { TransportChoice } from './transports/choice.ts';
import { Dialer, type Dials, type Opener } from './transports/dialer.ts';
import { diagnose } from './transports/diagnosis.ts';
import { HttpLink, type Receiver } from './transports/http.ts';
import { polling } from './transports/polling.ts';
import { streaming } from './transports/streaming.ts';
import { dialWebSocket } from './transports/websocket.ts';

/** Makes the opener; `warn` prints. */
export function makeOpener(
  address: Address, options: Options, credentials: Credentials, clock: Clock, warn: (text: string) => void,
): Opener {
  const Socket = options.WebSocket ?? globalThis.WebSocket;
  const codec = options.codec ?? json;
  const fetch = options.fetch ?? globalThis.fetch.bind(globalThis);
  const transports = (options.transports ?? TRANSPORTS).filter((name) => name !== 'websocket' || Socket !== undefined);
  const choice = new TransportChoice(transports, address.http, options.memory ?? browserMemory());
  const calls = new Calls(address.http, fetch, credentials);
  const overHttp = (receiver: (link: HttpLink) => Receiver) => (): Dial => async (listener) => {
    const diagnosis = await diagnose(address, fetch);
    if (diagnosis) throw { reason: diagnosis.error.message, ...diagnosis };
    return new HttpLink(calls, listener, receiver);
  };
  const dials: Dials = {
    websocket: (signal) => (listener) => dialWebSocket(Socket, address.websocket, codec, listener, signal),
    sse: overHttp(streaming(calls, clock)),
    polling: overHttp(polling(calls, clock)),
  };
  return new Dialer(address, choice, dials, fetch, clock, DIAL_MS, warn);
}
