import type { TransportName } from '../link.js';
/** How long a transport that did not get through is left out, in milliseconds. */
export declare const REMEMBER_MS = 300000;
/** Where the result is stored; `localStorage` in browsers. Spelled out, because TypeScript for Node knows no `Storage`. */
export interface Memory {
    getItem(key: string): string | null;
    setItem(key: string, value: string): void;
}
/** The transports of one client, best first. */
export declare class TransportChoice {
    private readonly transports;
    private readonly memory;
    private first;
    private until;
    private readonly key;
    /** `broker` is the address that the result is for. */
    constructor(transports: readonly TransportName[], broker: string, memory: Memory | undefined);
    /** Returns the transport to try now; undefined when there is none. */
    best(now: number): TransportName | undefined;
    /** Leaves out a transport that did not get through. Returns whether there is another one to try. */
    demote(transport: TransportName, now: number): boolean;
    /** Begins with the best transport again. */
    reset(): void;
}
