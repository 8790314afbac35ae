//! How far one subscription has come: what to ask for when subscribing again, which messages are news, and when
//! something was lost. It knows no connections. Offsets are never counted, only compared: they need not be consecutive.

import { placeInFrame } from './cursor.ts';
import type { FramePlace, Place, Position } from './frames.ts';
import { isPattern } from './topic.ts';

/** How many topics of one pattern are remembered. When there are more all are forgotten, which at worst repeats a message. */
const PATTERN_TOPICS_MAX = 4096;

/** Where a subscription begins. */
export interface Start {
  /** After this place. */
  since?: Place | undefined;
  /** With the newest so many publications. */
  last?: number | undefined;
}

/** Where a subscription begins, as frames have it. */
export interface Wanted extends Start {
  since?: FramePlace | undefined;
}

/** Whether `position` stands after `other`; undefined when they belong to different epochs. */
export function isAfter(position: Position, other: Position): boolean | undefined {
  return position.epoch === other.epoch ? position.offset > other.offset : undefined;
}

/** How far one subscription has come. */
export class Progress {
  /** The last position seen, of a plain topic. */
  seen: Position | undefined;
  private start: Wanted;
  private readonly topics: Map<string, Position> | undefined;
  private head: Position | undefined;
  private joinedBefore = false;

  constructor(name: string, start: Start) {
    const since = placeInFrame(start.since);
    this.start = { ...start, since };
    this.topics = isPattern(name) ? new Map() : undefined;
    if (typeof since === 'object' && 'epoch' in since && !this.topics) this.seen = since;
  }

  /** What to ask for now. */
  wanted(): Wanted {
    if (this.seen) return { since: this.seen };
    return this.topics && this.joinedBefore ? {} : this.start;
  }

  /** Whether it has ever been joined. */
  get wasJoined(): boolean {
    return this.joinedBefore;
  }

  /** Takes note of the answer to `wanted()`; whether something may be missing. */
  joined(head: Position | undefined, recovered: boolean): boolean {
    const before = this.joinedBefore;
    this.joinedBefore = true;
    // A pattern cannot be resumed: whatever was published while away is gone.
    if (this.topics) return before || !recovered;
    const { since, last } = this.start;
    const moved = before && (this.head === undefined || head === undefined || isAfter(head, this.head) !== false);
    // Asking for the newest few again says nothing of what was published before them meanwhile.
    const blind = this.seen === undefined && moved && since === undefined;
    const livesOnly = since === undefined && last === undefined;
    if ((this.seen === undefined && livesOnly) || head?.offset === 0) this.seen = head ?? this.seen;
    this.head = head;
    return blind || !recovered;
  }

  /** Forgets where it was, because the topic keeps nothing to resume from. */
  forget(): void {
    this.start = {};
    this.seen = undefined;
  }

  /** Whether a publication of `topic` has ever been seen. */
  knows(topic: string): boolean {
    return this.topics?.has(topic) ?? true;
  }

  /** Whether a publication has not been delivered yet; if so, it counts as delivered from now on. */
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
