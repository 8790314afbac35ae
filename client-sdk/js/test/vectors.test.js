// The golden vectors of protocol/vectors: the client writes its frames letter by letter, and reads the broker's.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { source } from './source.js';

const { json, msgpack, cursorOfMany, placeInFrame, placeInUrl } = source;
const read = (name) => JSON.parse(readFileSync(new URL(`../../../protocol/vectors/${name}.json`, import.meta.url), 'utf8'));
// Without the numbers that JavaScript cannot hold (vectors/README.md).
const isHeld = ({ name }) => !/largest|smallest|lagged_anywhere|whole_float/.test(name);
const said = read('client').filter(isHeld);
const heard = read('server').filter(isHeld);

for (const { name, json: text, decode_only: isReadOnly } of said) {
  if (isReadOnly) continue;
  test(`client frame ${name} is written as it stands`, () => {
    const { data_base64: packed, ...frame } = JSON.parse(text);
    if (packed !== undefined) frame.data = new Uint8Array(Buffer.from(packed, 'base64'));
    assert.equal(json.encode(frame), text);
  });
}

for (const { name, json: text, msgpack: hex, decode_only: isReadOnly } of said) {
  if (isReadOnly) continue;
  test(`client frame ${name} is written as it stands, in MessagePack`, () => {
    const { data_base64: packed, ...frame } = JSON.parse(text);
    if (packed !== undefined) frame.data = new Uint8Array(Buffer.from(packed, 'base64'));
    assert.equal(Buffer.from(msgpack.encode(frame)).toString('hex'), hex);
  });
}

/** The frame with its base64 fields as bytes, as a client wants it; written without the code under test. */
function expected(value) {
  if (Array.isArray(value)) return value.map(expected);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([name, field]) => {
    if (name === 'data' || name === 'info') return [name, field];
    return name.endsWith('_base64') ? [name.slice(0, -7), new Uint8Array(Buffer.from(field, 'base64'))] : [name, expected(field)];
  }));
}

for (const { name, json: text, same_as: twin } of heard) {
  if (text === undefined) continue;
  test(`server frame ${name} is read`, () => {
    const frame = json.decode(text);
    if (!twin) return assert.deepEqual(frame, expected(JSON.parse(text)));
    const same = json.decode(heard.find((vector) => vector.name === twin).json);
    for (const [field, value] of Object.entries(same)) if (field !== 'code') assert.deepEqual(frame[field], value, field);
    return undefined;
  });
}

for (const { name, json: text, msgpack: hex, same_as: twin } of heard) {
  if (hex === undefined || text === undefined || twin === 'error_internal') continue;
  test(`server frame ${name} is read, in MessagePack`, () => {
    const frame = msgpack.decode(new Uint8Array(Buffer.from(hex, 'hex')));
    const same = twin ? heard.find((vector) => vector.name === twin).json : text;
    for (const [field, value] of Object.entries(expected(JSON.parse(same)))) {
      // JSON's numbers are floats here, so that is how large ones are compared.
      assert.deepEqual(typeof frame[field] === 'bigint' ? Number(frame[field]) : frame[field], value, field);
    }
    return undefined;
  });
}

for (const { name, msgpack: hex } of read('invalid').filter(({ direction, encoding, error }) => direction === 'server' && encoding === 'msgpack' && error === 'unreadable')) {
  test(`a message that is not a frame is refused, in MessagePack: ${name}`, () => assert.throws(() => msgpack.decode(new Uint8Array(Buffer.from(hex, 'hex')))));
}

test('lengths that MessagePack announces and does not hold allocate nothing and are refused', () => {
  const hostile = ['dbffffffff', 'c6ffffffff00', 'ddffffffff', 'dfffffffff', '91'.repeat(10_000), 'c1', 'd40001', 'a2c328', '', '81a474797065a3786178c0'];
  for (const hex of hostile) assert.throws(() => msgpack.decode(new Uint8Array(Buffer.from(hex, 'hex'))), hex.slice(0, 20));
  const named = msgpack.decode(new Uint8Array(Buffer.from('82a474797065a178a95f5f70726f746f5f5f80', 'hex')));
  assert.equal(Object.getPrototypeOf(named), Object.prototype, 'a field of that name is a field');
});

test('whole numbers of 64 bits survive MessagePack both ways', () => {
  for (const number of [2n ** 64n - 1n, -(2n ** 63n), 2n ** 53n + 1n]) {
    assert.equal(msgpack.decode(msgpack.encode({ type: 'x', data: number })).data, number);
  }
  for (const number of [0, 127, 128, 255, 256, 65535, 65536, 2 ** 32, 2 ** 53 - 1, -1, -32, -33, -128, -129, -32769, -(2 ** 31) - 1, 0.5, -0, Infinity]) {
    assert.ok(Object.is(msgpack.decode(msgpack.encode({ type: 'x', data: number })).data, number), String(number));
  }
  assert.throws(() => msgpack.encode({ type: 'x', data: 2n ** 64n }), TypeError);
});

for (const { name, json: text } of read('invalid').filter(({ direction, encoding, error }) => direction === 'server' && encoding === 'json' && error === 'unreadable')) {
  test(`a message that is not a frame is refused: ${name}`, () => assert.throws(() => json.decode(text)));
}

test('the cursor of many topics is the broker\'s own', () => {
  const { since } = JSON.parse(said.find(({ name }) => name === 'subscribe_since_cursor_of_many').json);
  const bytes = Buffer.from(since.slice(2), 'base64url');
  // The vector does not name its topics, so this reads the numbers out of it and the hash of one topic is checked against FNV-1a's own.
  assert.equal(bytes.length, 40);
  const mine = Buffer.from(cursorOfMany([['a', { epoch: '5f3a', offset: 17 }], ['foobar', { epoch: 'ffffffffffffffff', offset: 2 ** 53 - 1 }]]).slice(2), 'base64url');
  assert.equal(mine.readUInt32BE(0), 0xe40c292c, 'FNV-1a of "a"');
  assert.equal(mine.readUInt32BE(20), 0xbf9cf968, 'FNV-1a of "foobar"');
  assert.equal(mine.readBigUInt64BE(4), 0x5f3an);
  assert.equal(mine.readBigUInt64BE(12), 17n);
  assert.equal(mine.readBigUInt64BE(24), 0xffff_ffff_ffff_ffffn);
  assert.equal(mine.readBigUInt64BE(32), 2n ** 53n - 1n);
  assert.equal(cursorOfMany([['a', { epoch: '5f3a', offset: 17 }]]), '5f3a:17');
  assert.deepEqual(placeInFrame('5f3a:17'), { epoch: '5f3a', offset: 17 });
  assert.equal(placeInFrame(since), since);
  const urls = [undefined, 'earliest', { epoch: '5f3a', offset: 17 }, { ts: 0 }, placeInFrame(new Date(1500))].map(placeInUrl);
  assert.deepEqual(urls, ['', '&since=earliest', '&since=5f3a%3A17', '&since=1970-01-01T00%3A00%3A00.000Z', '&since=1970-01-01T00%3A00%3A01.500Z']);
});
