import type { FramePlace, Place, Position } from './frames.js';
/** Returns the cursor of one position. */
export declare function cursorOf(position: Position): string;
/** Returns a place as a parameter of a URL. */
export declare function placeInUrl(place: FramePlace | undefined): string;
/**
 * Returns a place as frames carry it. A cursor of one topic becomes a position; only the broker reads a cursor of several topics. The result does
 * not change when the application changes `place`. Throws a `FanwireError` if it is not a place.
 */
export declare function placeInFrame(place: Place | undefined): FramePlace | undefined;
/** Returns one cursor for the positions of several topics. */
export declare function cursorOfMany(positions: Iterable<[string, Position]>): string;
