//! The exports of `fanwire-http.mjs`: the connection over HTTP. The client loads this file only where no WebSocket gets through, which
//! few pages need. No class of the client crosses the border between the two files, because each file has its own copy.

import type { Clock } from './clock.ts';
import type { Link, LinkListener } from './link.ts';
import { Calls } from './transports/calls.ts';
import type { Fetch } from './transports/diagnosis.ts';
import { HttpLink } from './transports/http.ts';
import { polling } from './transports/polling.ts';
import { streaming } from './transports/streaming.ts';

/** Returns a link to the broker at `base`. `token` returns the present token. */
export function linkOverHttp(
  transport: 'sse' | 'polling', base: string, fetch: Fetch, token: () => string | undefined, clock: Clock, listener: LinkListener,
): Link {
  const calls = new Calls(base, fetch, token, clock);
  return new HttpLink(calls, clock, listener, (transport === 'sse' ? streaming : polling)(calls, clock));
}
