/** A broker's address. */
export interface Address {
    /** The prefix of `/topics/…` and other paths, such as `http://host:7400` or `https://host/live`. */
    http: string;
    /** The URL of the WebSocket protocol. */
    websocket: string;
}
/**
 * Reads an address. A relative one, such as `/live` or an empty one, means the host of the page at `page`. Throws a `FanwireError` with
 * code `bad_url`. Its message does not repeat the address, which could hold a secret.
 */
export declare function parseAddress(text: string, page?: string): Address;
