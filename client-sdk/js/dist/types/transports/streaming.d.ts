import type { Clock } from '../clock.js';
import type { Calls } from './calls.js';
import type { HttpLink, Receiver } from './http.js';
/** Returns the receiver of a link. */
export declare function streaming(calls: Calls, clock: Clock): (link: HttpLink) => Receiver;
