/** Returns a value as MessagePack. Throws a `TypeError` if it has no such form. Fields that are undefined are left out. */
export declare function encode(value: unknown): Uint8Array;
