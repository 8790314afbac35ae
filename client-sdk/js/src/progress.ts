//! The progress of one subscription: what to request when it subscribes again, which messages are new, and when messages were
//! lost. It knows no connections. Offsets are only compared, because they need not be consecutive.

import { placeInFrame } from './cursor.ts';
import type { FramePlace, Place, Position } from './frames.ts';
import { isPattern } from './topic.ts';

/** The maximum number of topics of one pattern that are remembered. Beyond it all are forgotten, which at worst repeats a message. */
const PATTERN_TOPICS_MAX = 4096;

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
export function isAfter(position: Position, other: Position): boolean | undefined {
  return position.epoch === other.epoch ? position.offset > other.offset : undefined;
}

/** The progress of one subscription. */
export class Progress {
  /** The last position seen, of a plain topic. */
  seen: Position | undefined;
  private start: Wanted;
  private readonly topics: Map<string, Position> | undefined;
  private head: Position | undefined;
  private joinedBefore = false;

  /** Throws a `FanwireError` if `since` is not a place. */
  constructor(name: string, { since: place, last }: Start) {
    const since = placeInFrame(place);
    this.start = last === undefined ? { since } : { since, last };
    this.topics = isPattern(name) ? new Map() : undefined;
    if (typeof since === 'object' && 'epoch' in since && !this.topics) this.seen = since;
  }

  /** Returns what to request now. */
  wanted(): Wanted {
    if (this.seen) return { since: this.seen };
    return this.topics && this.joinedBefore ? {} : this.start;
  }

  /** Whether it has ever been joined. */
  get wasJoined(): boolean {
    return this.joinedBefore;
  }

  /** Records the answer to `wanted()`, and returns whether messages may be missing. */
  joined(head: Position | undefined, recovered: boolean): boolean {
    const before = this.joinedBefore;
    this.joinedBefore = true;
    // A pattern cannot be resumed: what was published in between is lost.
    if (this.topics) return before || !recovered;
    const { since, last } = this.start;
    const moved = before && (this.head === undefined || head === undefined || isAfter(head, this.head) !== false);
    // A second request for the newest few does not tell what was published before them in between.
    const blind = this.seen === undefined && moved && since === undefined;
    const livesOnly = since === undefined && last === undefined;
    if ((this.seen === undefined && livesOnly) || head?.offset === 0) this.seen = head ?? this.seen;
    this.head = head;
    return blind || !recovered;
  }

  /** Forgets the progress, because the topic keeps nothing to resume from. */
  forget(): void {
    this.start = {};
    this.seen = undefined;
  }

  /** Returns whether a publication of `topic` was seen. */
  knows(topic: string): boolean {
    return this.topics?.has(topic) ?? true;
  }

  /** Returns whether a publication was not delivered before, and counts it as delivered. */
  take(topic: string, position: Position | undefined): boolean {
    if (!position) return true;
    const seen = this.topics ? this.topics.get(topic) : this.seen;
    if (seen && isAfter(position, seen) === false) return false;
    if (!this.topics) this.seen = position;
    else {
      if (this.topics.size >= PATTERN_TOPICS_MAX) this.topics.clear();
      this.topics.set(topic, position);
    }
    return true;
  }
}
