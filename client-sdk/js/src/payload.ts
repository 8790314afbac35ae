//! What applications publish and receive: takes a snapshot of a payload when it is published, and makes a message of a frame.
//!
//! The snapshot follows the rules of JSON (ECMA-262 §25.5.2) on every transport and in every encoding, with three additions: bytes
//! are bytes, a `bigint` is a whole number, and what JSON would silently write as `{}` is an error.

import { toBase64 } from './base64.ts';
import { asError, FanwireError } from './errors.ts';
import { type MessageFrame, type Position, positionIn, toJson } from './frames.ts';

/** The maximum depth of a payload, as in the broker. */
const DEPTH_MAX = 128;

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
export function messageOf(frame: Omit<MessageFrame, 'type'>): Message {
  const { topic, data, ts, from } = frame;
  return { topic, data, position: positionIn(frame), time: ts === undefined ? undefined : Number(ts), from };
}

/**
 * Returns a copy of a payload in the form that codecs take: text, a `Uint8Array`, or a plain JSON value. Later changes of the payload do
 * not change the copy. Throws a `FanwireError` if the payload cannot be published or is larger than `bytesMax`.
 */
export function snapshot(payload: unknown, bytesMax: number, topic: string): unknown {
  let data: unknown;
  let size: number;
  try {
    data = isBytes(payload) ? new Uint8Array(bytesOf(payload)) : plain(payload, '', []);
    if (data === undefined) throw new TypeError(`${typeof payload} has no JSON form`);
    size = data instanceof Uint8Array ? data.length : new TextEncoder().encode(typeof data === 'string' ? data : toJson(data)).length;
  } catch (thrown) {
    throw asError(thrown, 'bad_frame', `the payload for '${topic}' cannot be published`);
  }
  if (size > bytesMax) {
    throw new FanwireError('too_large', `the payload for '${topic}' has ${size} bytes, at most ${bytesMax}: send less, or raise payloadBytesMax `
      + 'and the broker\'s message_bytes_max');
  }
  return data;
}

/** Bytes inside a JSON value: base64 in JSON, which is what the broker makes of MessagePack's bin. */
class Bytes extends Uint8Array {
  toJSON(): string {
    return toBase64(this);
  }
}

function isBytes(value: unknown): value is ArrayBuffer | ArrayBufferView {
  return value instanceof ArrayBuffer || ArrayBuffer.isView(value);
}

function bytesOf(value: ArrayBuffer | ArrayBufferView): Uint8Array {
  return ArrayBuffer.isView(value) ? new Uint8Array(value.buffer, value.byteOffset, value.byteLength) : new Uint8Array(value);
}

/** Returns a plain copy of a JSON value; undefined for what JSON leaves out. `path` holds the objects around the value. */
function plain(given: unknown, name: string, path: object[]): unknown {
  const { toJSON } = Object(given ?? 0) as { toJSON?: unknown };
  const value = typeof toJSON === 'function' && typeof given !== 'string' && !isBytes(given) ? toJSON.call(given, name) as unknown : given;
  switch (typeof value) {
    case 'string': case 'boolean': return value;
    case 'number': return Number.isFinite(value) ? value + 0 : null;
    case 'bigint': {
      if (BigInt.asIntN(64, value) === value || BigInt.asUintN(64, value) === value) return value;
      throw new TypeError('a whole number beyond 64 bits');
    }
    case 'object': return value && plainObject(value, name, path);
    default: return undefined;
  }
}

function plainObject(value: object, name: string, path: object[]): unknown {
  if (isBytes(value)) return new Bytes(bytesOf(value));
  if (value instanceof String || value instanceof Number || value instanceof Boolean) return plain(value.valueOf(), name, path);
  if (path.includes(value)) throw new TypeError('it contains itself');
  if (path.length >= DEPTH_MAX) throw new TypeError(`it nests deeper than ${DEPTH_MAX} levels`);
  const inner = [...path, value];
  if (Array.isArray(value)) return Array.from(value, (entry, index) => plain(entry, String(index), inner) ?? null);
  const entries = Object.entries(value);
  const kind = Object.prototype.toString.call(value).slice(8, -1);
  if (typeof (value as { then?: unknown }).then === 'function' || (kind !== 'Object' && entries.length === 0)) throw new TypeError(`a ${kind} has no JSON form`);
  return Object.fromEntries(entries.map(([key, field]) => [key, plain(field, key, inner)]).filter(([, field]) => field !== undefined));
}
