/** The options of each call, separated by spaces, each with the types that its value may have; a list has its elements. */
declare const OPTIONS: {
    connect: string;
    reconnect: string;
    subscribe: string;
    publish: string;
    history: string;
    presence: string;
    request: string;
};
/** Throws a `FanwireError` with code `bad_option` if `options` is not an object that holds options of `call` alone, of the right types. */
export declare function checkOptions(call: keyof typeof OPTIONS, options: unknown): void;
/** Returns a proposal for a misspelt name, or the list of names if none is near. */
export declare function hint(name: string, names: string[]): string;
export {};
