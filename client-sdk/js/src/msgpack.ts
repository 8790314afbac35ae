//! The exports of `fanwire/msgpack`: frames as MessagePack in binary messages, for the option `codec` of `connect`.

import type { Codec, ServerFrame } from './frames.ts';
import { decode } from './msgpack/decode.ts';
import { encode } from './msgpack/encode.ts';

/** MessagePack: smaller than JSON for binary payloads and numbers. Whole numbers beyond 2^53 arrive as `bigint`. */
export const msgpack: Codec = {
  subprotocol: 'fanwire.v1.msgpack',
  encode,
  decode: (data) => asFrame(typeof data === 'string' ? undefined : decode(data)),
};

/** Checks that a value is a frame, and removes optional fields that are null. */
function asFrame(value: unknown): ServerFrame {
  const frame = value as Record<string, unknown> | null | undefined;
  if (typeof frame !== 'object' || frame === null || typeof frame['type'] !== 'string') throw new TypeError('this is not a frame');
  for (const [name, field] of Object.entries(frame)) if (field === null && name !== 'data' && name !== 'info') delete frame[name];
  return frame as unknown as ServerFrame;
}
