//! Writes values as MessagePack (https://github.com/msgpack/msgpack/blob/master/spec.md), each in its shortest form.

/** Bytes that grow as they are written. */
class Writer {
  private bytes = new Uint8Array(256);
  private view = new DataView(this.bytes.buffer);
  private length = 0;

  /** Makes room for `count` bytes and returns the index of the first. */
  private take(count: number): number {
    const at = this.length;
    this.length += count;
    if (this.length > this.bytes.length) {
      const larger = new Uint8Array(Math.max(this.length, this.bytes.length * 2));
      larger.set(this.bytes.subarray(0, at));
      this.bytes = larger;
      this.view = new DataView(larger.buffer);
    }
    return at;
  }

  byte(value: number): void {
    const at = this.take(1);
    this.view.setUint8(at, value);
  }

  /** Writes a marker and a whole number of 1, 2 or 4 bytes. */
  number(marker: number, size: 1 | 2 | 4, value: number): void {
    this.byte(marker);
    const at = this.take(size);
    if (size === 1) this.view.setUint8(at, value);
    else if (size === 2) this.view.setUint16(at, value);
    else this.view.setUint32(at, value);
  }

  /** Writes a marker and 64 bits. */
  big(marker: number, value: bigint): void {
    this.byte(marker);
    const at = this.take(8);
    this.view.setBigUint64(at, BigInt.asUintN(64, value));
  }

  double(value: number): void {
    this.byte(0xcb);
    const at = this.take(8);
    this.view.setFloat64(at, value);
  }

  raw(bytes: Uint8Array): void {
    const at = this.take(bytes.length);
    this.bytes.set(bytes, at);
  }

  finish(): Uint8Array {
    return this.bytes.slice(0, this.length);
  }
}

/** Returns a value as MessagePack. Throws a `TypeError` if it has no such form. Fields that are undefined are left out. */
export function encode(value: unknown): Uint8Array {
  const writer = new Writer();
  write(writer, value);
  return writer.finish();
}

function write(out: Writer, value: unknown): void {
  if (value === null || value === undefined) return out.byte(0xc0);
  switch (typeof value) {
    case 'boolean': return out.byte(value ? 0xc3 : 0xc2);
    case 'number': return Number.isSafeInteger(value) && !Object.is(value, -0) ? writeInteger(out, value) : out.double(value);
    case 'bigint': return writeBig(out, value);
    case 'string': {
      const bytes = new TextEncoder().encode(value);
      writeLength(out, bytes.length, [0xa0, 31], [0xd9, 0xda, 0xdb]);
      return out.raw(bytes);
    }
    case 'object': return writeObject(out, value);
    default: throw new TypeError(`${typeof value} has no MessagePack form`);
  }
}

function writeObject(out: Writer, value: object): void {
  if (value instanceof Uint8Array) {
    writeLength(out, value.length, undefined, [0xc4, 0xc5, 0xc6]);
    return out.raw(value);
  }
  if (Array.isArray(value)) {
    writeLength(out, value.length, [0x90, 15], [undefined, 0xdc, 0xdd]);
    // Unlike `forEach`, this visits holes, so that as many entries follow as announced.
    for (const entry of value) write(out, entry);
    return;
  }
  // The JSON form, for example of a `Date`.
  if ('toJSON' in value && typeof value.toJSON === 'function') return write(out, value.toJSON());
  const fields = Object.entries(value).filter(([, field]) => field !== undefined);
  writeLength(out, fields.length, [0x80, 15], [undefined, 0xde, 0xdf]);
  for (const [name, field] of fields) {
    write(out, name);
    write(out, field);
  }
}

/** Writes a length: inside the marker if it fits there (`[marker, maximum]`), or after a marker for 1, 2 or 4 bytes. */
function writeLength(out: Writer, length: number, short: [number, number] | undefined, markers: [number | undefined, number, number]): void {
  const [one, two, four] = markers;
  if (short && length <= short[1]) out.byte(short[0] | length);
  else if (one !== undefined && length <= 0xff) out.number(one, 1, length);
  else if (length <= 0xffff) out.number(two, 2, length);
  else out.number(four, 4, length);
}

function writeInteger(out: Writer, value: number): void {
  if (value >= 0) {
    if (value < 0x80) out.byte(value);
    else if (value <= 0xff) out.number(0xcc, 1, value);
    else if (value <= 0xffff) out.number(0xcd, 2, value);
    else if (value <= 0xffff_ffff) out.number(0xce, 4, value);
    else out.big(0xcf, BigInt(value));
  } else if (value >= -32) out.byte(value & 0xff);
  else if (value >= -0x80) out.number(0xd0, 1, value & 0xff);
  else if (value >= -0x8000) out.number(0xd1, 2, value & 0xffff);
  else if (value >= -0x8000_0000) out.number(0xd2, 4, value >>> 0);
  else out.big(0xd3, BigInt(value));
}

function writeBig(out: Writer, value: bigint): void {
  if (value >= BigInt(Number.MIN_SAFE_INTEGER) && value <= BigInt(Number.MAX_SAFE_INTEGER)) return writeInteger(out, Number(value));
  if (value >= 2n ** 64n || value < -(2n ** 63n)) throw new TypeError('MessagePack holds no whole number beyond 64 bits');
  return out.big(value >= 0n ? 0xcf : 0xd3, value);
}
