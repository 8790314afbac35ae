import type { Clock } from '../clock.js';
import type { Calls } from './calls.js';
import type { HttpLink, Receiver } from './http.js';
/** Returns the receiver of a link. */
export declare function streaming(calls: Calls, clock: Clock): (link: HttpLink) => Receiver;
/** Returns whether the number of connections to a host may be limited. */
export declare function isBrowser(): boolean;
/** Returns the topics as the query of `/stream`. */
export declare function topicsOf(names: Iterable<string>): string;
