//! Places in topics as text, for URLs and `Last-Event-ID`.
//!
//! A cursor of one topic is `<epoch>:<offset>`. A cursor of several is `m.` and base64url of 20 bytes a topic: the FNV-1a
//! hash of its name (32 bits), its epoch and its offset (64 bits each, big-endian), as in protocol/src/cursor.rs.

import { toBase64Url } from './base64.ts';
import { FanwireError } from './errors.ts';
import type { FramePlace, Place, Position } from './frames.ts';

const MANY = 'm.';
const ENTRY_BYTES = 20;

/** The last moment that a `Date` can hold, in milliseconds. */
const TIME_MAX_MS = 8.64e15;

/** Returns the cursor of one position. */
export function cursorOf(position: Position): string {
  return `${position.epoch}:${position.offset}`;
}

/** Returns a place as a parameter of a URL. */
export function placeInUrl(place: FramePlace | undefined): string {
  if (place === undefined) return '';
  const text = typeof place === 'string' ? place : 'ts' in place ? new Date(place.ts).toISOString() : cursorOf(place);
  return `&since=${encodeURIComponent(text)}`;
}

/**
 * Returns a place as frames carry it. A cursor of one topic becomes a position; only the broker reads a cursor of several topics. The result does
 * not change when the application changes `place`. Throws a `FanwireError` if it is not a place.
 */
export function placeInFrame(place: Place | undefined): FramePlace | undefined {
  if (place === undefined) return undefined;
  if (typeof place === 'string') {
    const one = /^([0-9a-f]+):(\d+)$/.exec(place);
    return one ? { epoch: one[1]!, offset: Number(one[2]) } : place;
  }
  const { epoch, offset, ts } = Object(place) as { epoch?: unknown; offset?: unknown; ts?: unknown };
  const time = place instanceof Date ? place.getTime() : ts;
  if (typeof epoch === 'string' && typeof offset === 'number') return { epoch, offset };
  if (typeof time === 'number' && Math.abs(time) <= TIME_MAX_MS) return { ts: time };
  throw new FanwireError('bad_option', '`since` must be a position, a cursor, \'earliest\', or a valid Date or { ts }');
}

/** Returns one cursor for the positions of several topics. */
export function cursorOfMany(positions: Iterable<[string, Position]>): string {
  const entries = [...positions];
  if (entries.length === 1) return cursorOf(entries[0]![1]);
  const view = new DataView(new ArrayBuffer(entries.length * ENTRY_BYTES));
  entries.forEach(([topic, { epoch, offset }], index) => {
    const at = index * ENTRY_BYTES;
    view.setUint32(at, topicHash(topic));
    view.setBigUint64(at + 4, epochNumber(epoch));
    view.setBigUint64(at + 12, BigInt(offset));
  });
  return MANY + toBase64Url(new Uint8Array(view.buffer));
}

/** Returns the number of an epoch; 0, which no topic has, for a text that no broker wrote. */
function epochNumber(epoch: string): bigint {
  return /^[1-9a-f][0-9a-f]{0,15}$/.test(epoch) ? BigInt(`0x${epoch}`) : 0n;
}

/** FNV-1a, 32 bits (RFC 9923). */
function topicHash(topic: string): number {
  let hash = 0x811c9dc5;
  for (const byte of new TextEncoder().encode(topic)) hash = Math.imul(hash ^ byte, 0x01000193);
  return hash >>> 0;
}
