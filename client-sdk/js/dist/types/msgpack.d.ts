import type { Codec } from './frames.js';
/** MessagePack: smaller than JSON for binary payloads and numbers. Whole numbers beyond 2^53 arrive as `bigint`. */
export declare const msgpack: Codec;
