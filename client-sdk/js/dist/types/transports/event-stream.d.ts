/** One event. */
export interface StreamEvent {
    /** `message` where the stream names no other type. */
    type: string;
    data: string;
}
/** Returns a reader. Call it with each piece of text. It calls `emit` with each complete event. */
export declare function eventReader(emit: (event: StreamEvent) => void): (piece: string) => void;
