/** A function that is called with each event of one name. */
export type Listener<T> = (event: T) => unknown;
/** The maximum number of events that are kept for a slow or late reader. Beyond it the oldest events are dropped. */
export declare const KEPT_MAX = 1000;
/** An object with events. */
export declare abstract class Emitter<Events extends object> {
    private readonly names;
    private readonly onThrown;
    private readonly listeners;
    /** `names` lists the events. `onThrown` receives what a listener throws, and the name of the event. */
    constructor(names: string, onThrown: (thrown: unknown, during: string) => void);
    /**
     * Calls `listener` for every event of this name, and returns a function that ends this. A listener that is registered late
     * first receives what it missed, as `backlog` defines, before any newer event and never from inside this call.
     */
    on<Name extends keyof Events>(name: Name, listener: Listener<Events[Name]>): () => void;
    /** Returns the events that a new listener has missed and must still receive. */
    protected abstract backlog<Name extends keyof Events>(name: Name): Events[Name][];
    private call;
}
/** Calls a function of the application. `report` receives what the function throws or what its promise rejects with. */
export declare function guard(call: () => unknown, report: (thrown: unknown) => void): void;
/** A bounded queue between a producer and one `for await` loop. */
export declare class Stream<T> implements AsyncIterableIterator<T> {
    private readonly ended;
    private readonly dropped;
    private readonly kept;
    private readonly waiting;
    private end;
    /**
     * `ended` is called when the reader leaves the loop, `dropped` when the oldest event is dropped because the reader is too
     * slow. `kept` holds events that the reader has missed.
     */
    constructor(ended: () => void, dropped?: () => void, kept?: T[]);
    /** Adds an event. */
    push(value: T): void;
    /** Ends the stream after the events that are kept. With an error, the loop throws it. */
    finish(error?: unknown): void;
    next(): Promise<IteratorResult<T>>;
    return(): Promise<IteratorResult<T>>;
    [Symbol.asyncIterator](): this;
    /** Answers the readers that wait, if the stream has ended. The first one receives the error. */
    private settle;
}
