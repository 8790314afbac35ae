import type { Clock } from './clock.js';
import type { Link, LinkListener } from './link.js';
import type { Fetch } from './transports/diagnosis.js';
/** Returns a link to the broker at `base`. `token` returns the present token. */
export declare function linkOverHttp(transport: 'sse' | 'polling', base: string, fetch: Fetch, token: () => string | undefined, clock: Clock, listener: LinkListener): Link;
