//! What applications publish and receive: checks a payload on its way out, makes a message of a frame on its way in.

import { asError, FanwireError } from './errors.ts';
import { type MessageFrame, type Position, positionIn } from './frames.ts';

/** A publication as a subscriber or reader of history gets it. */
export interface Message<T = unknown> {
  /** The topic it was published to, also where the subscription is a pattern. */
  topic: string;
  /** Text as a string, bytes as a `Uint8Array`, anything else as the JSON value it was. */
  data: T;
  /** Where it stands; undefined when its topic keeps no history. Pass it as `since` to go on after it. */
  position?: Position | undefined;
  /** When the broker accepted it, in milliseconds since 1970; undefined when its topic keeps no history. */
  time?: number | undefined;
  /** The user who published it, where the broker knows. */
  from?: string | undefined;
}

/** Makes a message of a `message` frame or an entry of a history. */
export function messageOf(frame: Omit<MessageFrame, 'type'>): Message {
  const { topic, data, ts, from } = frame;
  return { topic, data, position: positionIn(frame), time: ts === undefined ? undefined : Number(ts), from };
}

/**
 * Checks that a payload can be sent and is not larger than `bytesMax`; the payload in the form the codecs take.
 * Throws a `FanwireError` that says what is wrong with it.
 */
export function checked(payload: unknown, bytesMax: number, topic: string): unknown {
  const data = payload instanceof ArrayBuffer ? new Uint8Array(payload) : bytesOf(payload);
  const size = data instanceof Uint8Array ? data.byteLength : textBytes(data, topic);
  if (size > bytesMax) {
    throw new FanwireError('too_large', `the payload for '${topic}' has ${size} bytes, the most is ${bytesMax}: send less, or raise payloadBytesMax `
      + 'and the broker\'s message_bytes_max');
  }
  return data;
}

/** Any view of bytes as a `Uint8Array`, so that codecs need to know only one; anything else as it is. */
function bytesOf(payload: unknown): unknown {
  if (payload instanceof Uint8Array || !ArrayBuffer.isView(payload)) return payload;
  return new Uint8Array(payload.buffer, payload.byteOffset, payload.byteLength);
}

function textBytes(data: unknown, topic: string): number {
  try {
    const text = typeof data === 'string' ? data : JSON.stringify(data);
    if (text === undefined) throw new TypeError(`${typeof data} has no JSON form`);
    return new TextEncoder().encode(text).length;
  } catch (thrown) {
    throw asError(thrown, 'bad_frame', `the payload for '${topic}' cannot be sent`);  // A circle or a BigInt, too.
  }
}
