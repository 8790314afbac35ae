/** Returns whether the number of connections to a host may be limited. */
export declare function isBrowser(): boolean;
/** Returns the topics as the query of `/stream`. */
export declare function topicsOf(names: Iterable<string>): string;
