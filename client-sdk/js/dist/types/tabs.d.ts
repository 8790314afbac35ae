import type { Sharing } from './options.js';
/**
 * Returns the value of the option `share` of `connect`: one connection for all tabs of this browser and origin with the same name. They must
 * belong to the same user. Where the browser does not support it, each tab has a connection of its own.
 */
export declare function tabs(name?: string): Sharing;
