// What `publish()` makes of a payload: one snapshot by the rules of JSON, on every transport and in both encodings.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import vm from 'node:vm';
import { FakeClock, settle } from './clock.js';
import { FakeBroker } from './fake-broker.js';
import { source } from './source.js';

const { connect, FanwireError, json, msgpack, snapshot } = source;

/** What a subscriber of a JSON session receives of a payload, and one of a MessagePack session. */
function received(payload) {
  const data = snapshot(payload, 1e6, 't');
  return [JSON.parse(json.encode({ type: 'publish', data })).data, msgpack.decode(msgpack.encode({ type: 'publish', data })).data];
}

test('both encodings follow the rules of JSON', () => {
  const hole = [1, , 3];  // eslint-disable-line no-sparse-arrays
  class Point { constructor() { this.x = 1; this.method = () => 1; } get getter() { return 2; } }
  const withProto = JSON.parse('{"__proto__":1}');
  for (const payload of [
    'text', '', 0, -1.5, 1e300, true, false, null, [], {}, [1, [2, [3]]], { a: { b: null } }, hole, [undefined, () => 1, Symbol('x'), 4],
    { a: undefined, b: () => 1, c: Symbol('x'), d: 1, [Symbol('y')]: 2 }, new Date(5), [new Date(5)], new URL('http://x/'), new Point(), Object.create(null), withProto,
    NaN, [Infinity, -Infinity, NaN], -0, [-0], new String('s'), [new Number(1), new Boolean(false)], { toJSON: (name) => ({ name, toJSON: () => 'not called' }) },
    { inner: { toJSON: (name) => name } }, [{ toJSON: (name) => name }], new Proxy({ a: [1] }, {}), { toJSON() { return undefined; }, a: 1 },
  ]) {
    const text = JSON.stringify(payload);
    if (text === undefined) {
      assert.throws(() => snapshot(payload, 1e6, 't'), { code: 'bad_frame' });
      continue;
    }
    assert.deepEqual(received(payload), [JSON.parse(text), JSON.parse(text)], text);
  }
  assert.equal(Object.hasOwn(received(withProto)[1], '__proto__'), true);
});

test('bytes are bytes: binary as a whole, base64 inside JSON, and a copy everywhere', () => {
  const buffer = new Uint8Array([9, 1, 2, 9]).buffer;
  for (const payload of [new Uint8Array([1, 2]), new Uint8Array(buffer, 1, 2), new DataView(buffer, 1, 2), Buffer.from([1, 2]), new Uint8Array([1, 2]).buffer, new Uint8Array(new SharedArrayBuffer(2)).fill(1)]) {
    const expected = [...new Uint8Array(payload.buffer ?? payload, payload.byteOffset, payload.byteLength)];
    const whole = snapshot(payload, 100, 't');
    assert.deepEqual([Object.getPrototypeOf(whole), [...whole]], [Uint8Array.prototype, expected]);
    const [text, packed] = received({ inner: [payload] });
    assert.deepEqual([text.inner[0], [...packed.inner[0]]], [Buffer.from(expected).toString('base64'), expected]);
  }
});

test('a bigint is a whole number of 64 bits, so that what was received can be published', () => {
  for (const number of [0n, 2n ** 53n + 1n, 2n ** 64n - 1n, -(2n ** 63n)]) {
    const data = snapshot({ number, list: [number] }, 1000, 't');
    assert.equal(json.encode({ type: 'publish', data }), `{"type":"publish","data":{"number":${number},"list":[${number}]}}`);
    const packed = msgpack.decode(msgpack.encode({ type: 'publish', data })).data;
    assert.deepEqual([BigInt(packed.number), BigInt(packed.list[0])], [number, number]);
    const again = snapshot(packed, 1000, 't');
    assert.deepEqual(msgpack.decode(msgpack.encode({ type: 'publish', data: again })).data, packed);
  }
  assert.equal(json.encode({ type: 'publish', data: snapshot(7n, 10, 't') }), '{"type":"publish","data":7}');
});

test('what JSON would write as {} or not at all is an error that says what it is', () => {
  const circle = { list: [] };
  circle.list.push(circle);
  const detached = new ArrayBuffer(8);
  const view = new Uint8Array(detached);
  structuredClone(detached, { transfer: [detached] });
  let deep = 1;
  for (let level = 0; level < 129; level++) deep = [deep];
  const odd = {
    undefined: undefined, function: () => 1, Symbol: Symbol('x'), Blob: new Blob(['x']), Map: new Map([[1, 2]]), Set: new Set([1]), Promise: Promise.resolve(1),
    WeakMap: new WeakMap(), RegExp: /x/, Error: new Error('x'), SharedArrayBuffer: new SharedArrayBuffer(8), itself: circle, levels: deep, FormData: new FormData(), Headers: new Headers(),
    bits: 2n ** 64n, detached, view, ArrayBuffer: vm.runInNewContext('new ArrayBuffer(8)'), 'foreign Map': vm.runInNewContext('new Map()'),
  };
  for (const [name, value] of Object.entries(odd)) {
    const isDropped = ['undefined', 'function', 'Symbol'].includes(name);
    for (const payload of isDropped ? [value] : [value, { inner: value }, [[value]]]) {
      assert.throws(() => snapshot(payload, 1e6, 'topic.x'), (error) => {
        assert.ok(error instanceof FanwireError && error.code === 'bad_frame' && error.message.includes('topic.x'), `${name}: ${error}`);
        return true;
      }, name);
    }
  }
  assert.throws(() => snapshot(new Map(), 100, 't'), /Map has no JSON form/);
  const throwing = { get a() { throw new Error('getter'); } };
  assert.throws(() => snapshot(throwing, 100, 't'), /getter/);
});

test('halves of surrogate pairs, which the broker refuses, are replaced', () => {
  assert.deepEqual(received(['a\ud800b', { '\udc00': '🙂' }]), [['a\ufffdb', { '\ufffd': '🙂' }], ['a\ufffdb', { '\ufffd': '🙂' }]]);
});

test('MessagePack announces as many entries as follow', () => {
  const bytes = msgpack.encode({ type: 'x', data: [1, , 3] });  // eslint-disable-line no-sparse-arrays
  assert.deepEqual(msgpack.decode(bytes).data, [1, null, 3]);
});

for (const transport of ['websocket', 'sse', 'polling']) {
  test(`a payload is read once, inside publish(), over ${transport}`, async () => {
    const fake = new FakeBroker();
    const bodies = [];
    const released = [];
    fake.answer = (url, { body }) => {
      if (!url.endsWith('/publish')) return undefined;
      const { messages } = JSON.parse(body);
      bodies.push(...messages);
      const results = Response.json({ results: messages.map(({ topic }) => ({ topic })) });
      return messages.length === 0 ? results : new Promise((resolve) => { released.push(() => resolve(results)); });
    };
    const client = connect('http://broker.test', { WebSocket: fake.WebSocket, fetch: fake.fetch, clock: new FakeClock(), log: false, transports: [transport] });
    let reads = 0;
    const object = { n: 0, toJSON() { reads += 1; return { n: this.n }; } };
    const bytes = new Uint8Array([0]);
    const publish = (n) => {
      object.n = bytes[0] = n;
      client.publish('t', object).catch(() => {});
      client.publish('t', bytes).catch(() => {});
    };
    publish(1);  // Before there is a connection.
    if (transport === 'websocket') await fake.welcome();
    await settle();
    publish(2);
    publish(3);
    object.n = bytes[0] = 9;
    for (let round = 0; round < 6; round++) {
      released.shift()?.();
      await settle();
    }
    const sent = transport === 'websocket' ? fake.socket.heard : bodies;
    assert.deepEqual(sent.map(({ data, data_base64: packed }) => data ?? packed), [{ n: 1 }, 'AQ==', { n: 2 }, 'Ag==', { n: 3 }, 'Aw==']);
    assert.equal(reads, 3);
    client.close();
  });
}

test('an escaped backslash before the letters of an escape stays what it is', () => {
  for (const text of ['\\ud800', '\\\\ud800 \ud800', '"\\ud83d\ude00"', '🙂\\u0001\u0001', '\\\ud800']) {
    assert.equal(JSON.parse(json.encode({ type: 'x', data: text })).data, text.replace(/\p{Cs}/gu, '\ufffd'));
  }
});
