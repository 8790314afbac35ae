import { type MessageFrame, type Position } from './frames.js';
/** A publication as a subscriber or a reader of the history receives it. */
export interface Message<T = unknown> {
    /** The topic it was published to, also where the subscription is a pattern. */
    topic: string;
    /** Text as a string, bytes as a `Uint8Array`, any other payload as its JSON value. */
    data: T;
    /** The position in the topic; undefined when the topic keeps no history. Pass it as `since` to continue after it. */
    position?: Position | undefined;
    /** When the broker accepted it, in milliseconds since 1970; undefined when the topic keeps no history. */
    time?: number | undefined;
    /** The user who published it, if the broker knows. */
    from?: string | undefined;
}
/** Returns the message of a `message` frame or of an entry of a history. */
export declare function messageOf(frame: Omit<MessageFrame, 'type'>): Message;
/**
 * Returns a copy of a payload in the form that codecs take: text, a `Uint8Array`, or a plain JSON value. Later changes of the payload do
 * not change the copy. Throws a `FanwireError` if the payload cannot be published or is larger than `bytesMax`.
 */
export declare function snapshot(payload: unknown, bytesMax: number, topic: string): unknown;
