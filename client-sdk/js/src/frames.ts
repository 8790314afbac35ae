//! The frames of the protocol (docs/protocol.md) and their JSON encoding. This file does not know the order of frames.
//!
//! Inside the client a binary payload is a `Uint8Array` in `data`, in every encoding.

import { fromBase64, toBase64 } from './base64.ts';
import { FanwireError } from './errors.ts';

/** The position of a publication in its topic. */
export interface Position {
  epoch: string;
  offset: number;
}

/** A place in a topic: a position, a cursor, `'earliest'` for everything that is held, or a moment for everything published at or after it. */
export type Place = FramePlace | Date;

/** A place as frames carry it. A moment is in milliseconds since 1970. */
export type FramePlace = Position | { ts: number } | string;

/** A payload: text, bytes, or any other JSON value. A `bigint` is a whole number of at most 64 bits. */
export type Payload = string | number | bigint | boolean | null | Uint8Array | ArrayBuffer | object;

/** A frame that the client sends. The fields are written in the order of the object. */
export interface ClientFrame {
  type: string;
  id?: number | undefined;
  [field: string]: unknown;
}

export interface MessageFrame {
  type: 'message';
  topic: string;
  offset?: number;
  epoch?: string;
  ts?: number;
  from?: string;
  data: unknown;
}

export interface ClosingFrame {
  type: 'closing';
  code: number;
  reason: string;
  reconnect: boolean;
  after_ms?: number;
}

/** A reply to the request with this `id`. */
export interface ReplyFrame {
  type: 'connected' | 'subscribed' | 'unsubscribed' | 'published' | 'history' | 'presence' | 'refreshed' | 'response' | 'pong';
  id?: number;
  topic?: string;
  epoch?: string;
  offset?: number;
  [field: string]: unknown;
}

export interface ErrorFrame {
  type: 'error';
  id?: number;
  code: FanwireError['code'];
  message: string;
}

export interface MemberFrame {
  type: 'join' | 'leave';
  topic: string;
  user: string;
  connection?: string;
  info?: unknown;
}

export interface LaggedFrame {
  type: 'lagged';
  topic?: string;
  missed?: number;
}

/** A frame that the broker sends. */
export type ServerFrame = MessageFrame | ClosingFrame | ReplyFrame | ErrorFrame | MemberFrame | LaggedFrame;

/** An encoding of frames as messages of a WebSocket. */
export interface Codec {
  /** The subprotocol of this encoding. */
  readonly subprotocol: string;
  /** Throws a `FanwireError` when a payload cannot be written. */
  encode(frame: ClientFrame): string | Uint8Array;
  /** Throws when the bytes are no frame. */
  decode(data: string | Uint8Array): ServerFrame;
}

/** Frames as JSON objects in text messages. */
export const json: Codec = {
  subprotocol: 'fanwire.v1.json',
  encode: (frame) => toJson(toWire(frame)),
  decode: (data) => fromWire(JSON.parse(data as string)),
};

/** A text that no payload contains, to mark whole numbers. */
const MARK = `bigint ${Math.random()} `;

/**
 * Returns a value as JSON. A `bigint` is written as a whole number, and half of a surrogate pair as U+FFFD, because the broker would refuse it and, outside
 * of a payload, end the connection.
 */
export function toJson(value: unknown): string {
  let text: string;
  try {
    text = JSON.stringify(value);
  } catch {
    text = JSON.stringify(value, (_, one: unknown) => (typeof one === 'bigint' ? MARK + one : one))
      .replace(new RegExp(`"${MARK}(-?\\d+)"`, 'g'), '$1');
  }
  // JSON escapes these halves alone as `\ud…`. An escaped backslash before the same letters is something else.
  return text?.includes('\\ud') ? text.replace(/\\(ud...|.)/g, (all, one: string) => (one.length > 1 ? '\ufffd' : all)) : text;
}

/** Moves a binary payload to `data_base64`, as JSON requires. */
export function toWire(frame: { [field: string]: unknown }): object {
  const { data, ...rest } = frame;
  if (!(data instanceof Uint8Array)) return frame;
  return { ...rest, data_base64: toBase64(data) };
}

/** Reads a frame from its JSON value. Base64 becomes bytes, also in the entries of a list. */
export function fromWire(value: unknown): ServerFrame {
  const frame = value as Fields | null;
  if (typeof frame !== 'object' || frame === null || typeof frame['type'] !== 'string') {
    throw new FanwireError('bad_frame', 'the broker sent a message that is not a frame');
  }
  for (const list of [frame['messages'], frame['members']]) {
    if (Array.isArray(list)) list.forEach((entry: Fields) => unpack(entry));
  }
  return unpack(frame) as unknown as ServerFrame;
}

type Fields = Record<string, unknown>;

/** Moves the bytes of `data_base64` and `info_base64` to `data` and `info`, and removes optional fields that are null. */
export function unpack(entry: Fields): Fields {
  for (const [name, value] of Object.entries(entry)) {
    if (value === null && name !== 'data' && name !== 'info') delete entry[name];
    if (!name.endsWith('_base64') || typeof value !== 'string') continue;
    entry[name.slice(0, -'_base64'.length)] = fromBase64(value);
    delete entry[name];
  }
  return entry;
}

/** Returns the position in a frame, if it has one. */
export function positionIn(frame: { epoch?: string; offset?: number | undefined }): Position | undefined {
  const { epoch, offset } = frame;
  return epoch === undefined || offset === undefined ? undefined : { epoch, offset: Number(offset) };
}
