/** Returns the one value that `bytes` hold. Throws a `TypeError` for anything else. Whole numbers beyond 2^53 become `bigint`. */
export declare function decode(bytes: Uint8Array): unknown;
