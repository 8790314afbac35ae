//! Positions in one or many topics as one short text, for URLs and `Last-Event-ID`.
//!
//! A cursor of one topic reads `<epoch>:<offset>`. A cursor of several is `m.` and base64url of 20 bytes a topic: the FNV-1a
//! hash of its name (32 bits), its epoch and its offset (64 bits each, big-endian), as in protocol/src/cursor.rs.

import { toBase64Url } from './base64.ts';
import type { FramePlace, Place, Position } from './frames.ts';

const MANY = 'm.';
const ENTRY_BYTES = 20;

/** The cursor of one position. */
export function cursorOf(position: Position): string {
  return `${position.epoch}:${position.offset}`;
}

/** A place as the query of a URL takes it. */
export function placeInUrl(place: FramePlace | undefined): string {
  if (place === undefined) return '';
  const text = typeof place === 'string' ? place : 'ts' in place ? new Date(place.ts).toISOString() : cursorOf(place);
  return `&since=${encodeURIComponent(text)}`;
}

/** A place as frames take it. A cursor of one topic is a position; one of many is for the broker to read. */
export function placeInFrame(place: Place | undefined): FramePlace | undefined {
  if (place instanceof Date) return { ts: place.getTime() };
  const one = typeof place === 'string' && /^([0-9a-f]+):(\d+)$/.exec(place);
  return one ? { epoch: one[1]!, offset: Number(one[2]) } : place;
}

/** One cursor over the positions of many topics. */
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

/** The number behind an epoch's text; 0, which is no topic's epoch, for what no broker wrote. */
function epochNumber(epoch: string): bigint {
  return /^[1-9a-f][0-9a-f]{0,15}$/.test(epoch) ? BigInt(`0x${epoch}`) : 0n;
}

/** FNV-1a, 32 bits (RFC 9923). */
function topicHash(topic: string): number {
  let hash = 0x811c9dc5;
  for (const byte of new TextEncoder().encode(topic)) hash = Math.imul(hash ^ byte, 0x01000193);
  return hash >>> 0;
}
