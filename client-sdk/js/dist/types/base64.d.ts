/** Returns bytes as base64 with padding. */
export declare function toBase64(bytes: Uint8Array): string;
/** Returns the bytes of base64 in either form. Throws a `DOMException` if the text is not base64. */
export declare function fromBase64(text: string): Uint8Array;
/** Returns bytes as base64url without padding. */
export declare function toBase64Url(bytes: Uint8Array): string;
