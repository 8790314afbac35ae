//! Reads values from MessagePack. It allocates no more than the bytes hold, whatever lengths they announce, and bounds the depth.

/** The maximum depth of a value. A broker's frames are less deep. */
const DEPTH_MAX = 256;

/** Returns the one value that `bytes` hold. Throws a `TypeError` for anything else. Whole numbers beyond 2^53 become `bigint`. */
export function decode(bytes: Uint8Array): unknown {
  const reader = new Reader(bytes);
  const value = reader.value(0);
  if (reader.at !== bytes.length) throw new TypeError('there are bytes after the value');
  return value;
}

class Reader {
  at = 0;
  private readonly view: DataView;

  constructor(private readonly bytes: Uint8Array) {
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  value(depth: number): unknown {
    if (depth > DEPTH_MAX) throw new TypeError('the value nests too deeply');
    const marker = this.view.getUint8(this.take(1));
    if (marker < 0x80) return marker;
    if (marker < 0x90) return this.map(marker & 15, depth);
    if (marker < 0xa0) return this.list(marker & 15, depth);
    if (marker < 0xc0) return this.text(marker & 31);
    if (marker >= 0xe0) return marker - 0x100;
    switch (marker) {
      case 0xc0: return null;
      case 0xc2: return false;
      case 0xc3: return true;
      case 0xc4: case 0xc5: case 0xc6: return this.raw(this.length(marker - 0xc4)).slice();
      case 0xca: return this.view.getFloat32(this.take(4));
      case 0xcb: return this.view.getFloat64(this.take(8));
      case 0xcc: case 0xcd: case 0xce: return this.length(marker - 0xcc);
      case 0xcf: return whole(this.view.getBigUint64(this.take(8)));
      case 0xd0: return this.view.getInt8(this.take(1));
      case 0xd1: return this.view.getInt16(this.take(2));
      case 0xd2: return this.view.getInt32(this.take(4));
      case 0xd3: return whole(this.view.getBigInt64(this.take(8)));
      case 0xd9: case 0xda: case 0xdb: return this.text(this.length(marker - 0xd9));
      case 0xdc: case 0xdd: return this.list(this.length(marker - 0xdb), depth);
      case 0xde: case 0xdf: return this.map(this.length(marker - 0xdd), depth);
      default: throw new TypeError(`unknown marker ${marker}`);
    }
  }

  /** Skips `count` bytes and returns the index of the first. */
  private take(count: number): number {
    const { at } = this;
    if (count > this.bytes.length - at) throw new TypeError('the value is cut short');
    this.at = at + count;
    return at;
  }

  /** Reads a whole number of 1, 2 or 4 bytes, for `size` 0, 1 or 2. */
  private length(size: number): number {
    if (size === 0) return this.view.getUint8(this.take(1));
    return size === 1 ? this.view.getUint16(this.take(2)) : this.view.getUint32(this.take(4));
  }

  private raw(length: number): Uint8Array {
    const at = this.take(length);
    return this.bytes.subarray(at, at + length);
  }

  private text(length: number): string {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(this.raw(length));
  }

  private list(length: number, depth: number): unknown[] {
    const list = [];
    for (let index = 0; index < length; index++) list.push(this.value(depth + 1));
    return list;
  }

  private map(length: number, depth: number): Record<string, unknown> {
    const fields: [string, unknown][] = [];
    for (let index = 0; index < length; index++) {
      const name = this.value(depth + 1);
      fields.push([typeof name === 'string' ? name : String(name), this.value(depth + 1)]);
    }
    // Unlike an assignment, this makes an ordinary field of `__proto__`, too.
    return Object.fromEntries(fields);
  }
}

function whole(value: bigint): number | bigint {
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : value;
}
