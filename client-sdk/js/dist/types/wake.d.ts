/** Receives the events. */
export interface Sleeper {
    /** The page is visible again, or the network changed: a connection may be dead, and a wait ends. */
    wake(): void;
    /** The browser keeps the page for its back button, which an open connection would prevent. */
    suspend(): void;
    /** The page is back. */
    resume(): void;
}
/** Watches the page. Returns a function that ends the watch. */
export declare function watchPage(sleeper: Sleeper): () => void;
/** Returns whether the device has no network. */
export declare function isOffline(): boolean;
