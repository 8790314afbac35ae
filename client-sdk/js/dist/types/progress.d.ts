import type { FramePlace, Place, Position } from './frames.js';
/** Where a subscription begins. */
export interface Start {
    /** After this place. */
    since?: Place | undefined;
    /** With this number of the newest publications. */
    last?: number | undefined;
}
/** Where a subscription begins, as frames carry it. */
export interface Wanted extends Start {
    since?: FramePlace | undefined;
}
/** Returns whether `position` is after `other`; undefined when they belong to different epochs. */
export declare function isAfter(position: Position, other: Position): boolean | undefined;
/** The progress of one subscription. */
export declare class Progress {
    /** The last position seen, of a plain topic. */
    seen: Position | undefined;
    private start;
    private readonly topics;
    private head;
    private joinedBefore;
    /** Throws a `FanwireError` if `since` is not a place. */
    constructor(name: string, { since: place, last }: Start);
    /** Returns what to request now. */
    wanted(): Wanted;
    /** Whether it has ever been joined. */
    get wasJoined(): boolean;
    /** Records the answer to `wanted()`, and returns whether messages may be missing. */
    joined(head: Position | undefined, recovered: boolean): boolean;
    /** Forgets the progress, because the topic keeps nothing to resume from. */
    forget(): void;
    /** Returns whether a publication of `topic` was seen. */
    knows(topic: string): boolean;
    /** Returns whether a publication was not delivered before, and counts it as delivered. */
    take(topic: string, position: Position | undefined): boolean;
}
