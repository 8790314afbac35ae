// The failure of one request is not the failure of the connection, and what the platform throws is not what the broker says.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FakeClock, settle } from './clock.js';
import { FakeBroker } from './fake-broker.js';
import { source } from './source.js';

const { connect, FanwireError } = source;
const problem = (status, code, detail) => new Response(JSON.stringify({ code, detail }), { status, headers: { 'Content-Type': 'application/problem+json' } });
const never = (signal) => new Promise((_, reject) => { signal?.addEventListener('abort', () => reject(signal.reason)); });

function start(transport, options = {}) {
  const fake = new FakeBroker();
  const clock = new FakeClock();
  const client = connect('http://broker.test', { WebSocket: fake.WebSocket, fetch: fake.fetch, clock, log: false, transports: [transport], ...options });
  return { fake, clock, client };
}

const code = (promise) => promise.then(() => 'done', (error) => error.code);

test('over WebSocket, a frame that the broker would close for is refused before it is sent', async () => {
  const { fake, client } = start('websocket', { payloadBytesMax: 10_000 });
  await fake.welcome();
  const small = client.publish('t', 1);
  assert.equal(await code(client.publish('t', '\u0001'.repeat(10_000))), 'too_large', 'six times as long in JSON');
  assert.deepEqual(fake.socket.heard.map(({ data }) => data), [1]);
  fake.socket.reply('published', { topic: 't' });
  await small;
  assert.equal(client.status.state, 'connected');
  client.close();
});

test('over WebSocket, a message that is too large for the broker rejects itself; what was sent after it is sent again', async () => {
  const { fake, clock, client } = start('websocket', { payloadBytesMax: 1e9 });
  await fake.welcome();
  const before = code(client.publish('t', 'before', { key: 'k' }));
  const unsafe = code(client.publish('t', 'before without a key'));
  const large = code(client.publish('t', 'x'.repeat(2000)));
  const after = code(client.publish('t', 'after'));
  const asked = code(client.request('m', 'after'));
  fake.socket.end(1009, 'a message larger than 1500 bytes');
  assert.equal(await large, 'too_large');
  await clock.advance(250);
  await fake.welcome();
  assert.deepEqual(fake.socket.heard.map(({ data }) => data), ['before', 'after', 'after']);
  for (const type of ['published', 'published', 'response']) fake.socket.reply(type, { topic: 't', data: 1 });
  assert.deepEqual([await before, await unsafe, await after, await asked], ['done', 'connection_lost', 'done', 'done']);
  client.close();
});

test('a message that is too large is no reason to close for good when its promise is no longer waited for', async () => {
  const { fake, clock, client } = start('websocket', { payloadBytesMax: 1e9 });
  await fake.welcome();
  const abort = new AbortController();
  const large = client.publish('t', 'x'.repeat(2000), { signal: abort.signal }).catch(() => {});
  abort.abort();
  await large;
  fake.socket.end(1009, 'a message larger than 1500 bytes');
  await clock.advance(250);
  await fake.welcome();
  assert.equal(client.status.state, 'connected');
  client.close();
});

for (const transport of ['sse', 'polling']) {
  test(`over ${transport}, a call that is refused as a whole is split, so that only its cause is refused`, async () => {
    const { fake, client } = start(transport);
    const calls = [];
    fake.answer = (url, { body, signal }) => {
      if (!url.endsWith('/publish')) return url.endsWith('/healthz') ? undefined : never(signal);
      const { messages } = JSON.parse(body);
      calls.push(messages.length);
      if (messages.some(({ data }) => data.length > 10)) return new Response('<html>too large', { status: 413 });
      return Response.json({ results: messages.map(({ topic }) => ({ topic })) });
    };
    await client.ready;
    const outcomes = await Promise.all(['a', 'b', 'x'.repeat(11), 'c'].map((data) => code(client.publish('t', data))));
    assert.deepEqual(outcomes, ['done', 'done', 'too_large', 'done']);
    assert.deepEqual(calls, [0, 1, 3, 1, 1, 1]);
    assert.equal(client.status.state, 'connected');
    client.close();
  });

  test(`over ${transport}, a proxy's 502 is a lost connection: a publish with a key is sent again`, async () => {
    const { fake, clock, client } = start(transport);
    let isDown = false;
    fake.answer = (url, { body, signal }) => {
      if (!url.endsWith('/publish')) return url.endsWith('/healthz') ? undefined : never(signal);
      if (isDown) return new Response('bad gateway', { status: 502 });
      return Response.json({ results: JSON.parse(body).messages.map(({ topic }) => ({ topic })) });
    };
    await client.ready;
    isDown = true;
    const [safe, unsafe] = [code(client.publish('t', 1, { key: 'k' })), code(client.publish('t', 2))];
    await settle();
    isDown = false;
    await clock.advance(250);
    await settle();
    assert.equal(await safe, 'done');
    assert.equal(await unsafe, 'connection_lost');
    client.close();
  });

  test(`over ${transport}, a pattern that the broker refuses ends alone`, async () => {
    const { fake, client } = start(transport);
    fake.answer = (url, { signal }) => {
      const path = url.slice('http://broker.test'.length);
      if (path === '/publish') return Response.json({ results: [] });
      if (path.startsWith('/topics/')) return Response.json({ messages: [], cursor: '1:5', gap: false, more: false });
      if (path.includes('secret')) return problem(403, 'forbidden', 'no grant');
      return path.startsWith('/stream') ? path.includes('wait=0') ? Response.json({ messages: [] }) : never(signal) : undefined;
    };
    await client.ready;
    const fine = client.subscribe('t');
    assert.equal(await code(client.subscribe('secret.>').ready), 'forbidden');
    await fine.ready;
    assert.equal(client.status.state, 'connected');
    client.close();
  });

  test(`over ${transport}, a topic that the broker refuses later ends alone`, async () => {
    const { fake, client } = start(transport);
    let isRefused = false;
    const asked = [];
    fake.answer = (url, { signal }) => {
      const path = url.slice('http://broker.test'.length);
      if (path === '/publish') return Response.json({ results: [] });
      if (path.startsWith('/topics/')) return Response.json({ messages: [], cursor: '1:5', gap: false, more: false });
      if (path.includes('topic=mine') && isRefused) return problem(403, 'forbidden', 'the grant was taken back');
      if (!path.startsWith('/stream')) return undefined;
      asked.push(path);
      return path.includes('wait=0') ? Response.json({ messages: [] }) : never(signal);
    };
    await client.ready;
    const [mine, other] = [client.subscribe('mine'), client.subscribe('other')];
    await Promise.all([mine.ready, other.ready]);
    const ended = new Promise((resolve) => { mine.on('ended', resolve); });
    isRefused = true;
    client.subscribe('third');
    assert.equal((await ended).code, 'forbidden');
    await settle();
    assert.equal(client.status.state, 'connected');
    assert.match(asked.at(-1), /topic=other&topic=third/);
    client.close();
  });

  test(`over ${transport}, presence events are delivered`, async () => {
    const { fake, client } = start(transport);
    const join = { topic: 't', user: 'ann', connection: 'c1', info_base64: 'AQI=' };
    const leave = { topic: 't', user: 'ann', connection: 'c1' };
    let polls = 0;
    fake.answer = (url, { signal }) => {
      const path = url.slice('http://broker.test'.length);
      if (path === '/publish') return Response.json({ results: [] });
      if (path.startsWith('/topics/')) return Response.json({ messages: [], cursor: '1:5', gap: false, more: false });
      if (!path.startsWith('/stream')) return undefined;
      assert.match(path, /envelope=true/);
      if (transport === 'polling') {
        polls += 1;
        return polls > 1 ? never(signal) : Response.json({ messages: [], presence: [{ type: 'join', ...join }, { type: 'leave', ...leave }], cursor: '1:5', gap: false, more: false });
      }
      const text = `retry: 1000\n\nevent: join\ndata: ${JSON.stringify(join)}\n\nevent: tomorrow\ndata: {}\n\nevent: leave\ndata: ${JSON.stringify(leave)}\n\n`;
      return new Response(new ReadableStream({ start: (controller) => controller.enqueue(new TextEncoder().encode(text)) }));
    };
    const events = [];
    const subscription = client.subscribe('t');
    for (const name of ['join', 'leave']) subscription.on(name, ({ topic, user, connection, info }) => events.push([name, topic, user, connection, info]));
    await subscription.ready;
    await settle();
    assert.deepEqual(events, [['join', 't', 'ann', 'c1', new Uint8Array([1, 2])], ['leave', 't', 'ann', 'c1', undefined]]);
    client.close();
  });

  test(`over ${transport}, a call that finds no free connection of the browser gets that of the receiver`, async () => {
    globalThis.document = {};
    const { fake, clock, client } = start(transport);
    let free = Infinity;
    const waiting = [];
    const held = (signal) => {
      free -= 1;
      signal.addEventListener('abort', () => {
        free += 1;
        waiting.shift()?.();
      });
      return transport === 'polling' ? never(signal) : new Response(new ReadableStream({ start: (controller) => controller.enqueue(new TextEncoder().encode(': hello\n\n')) }));
    };
    fake.answer = async (url, { body, signal }) => {
      const path = url.slice('http://broker.test'.length);
      if (path.startsWith('/topics/')) return Response.json({ messages: [], cursor: '1:5', gap: false, more: false });
      if (path.startsWith('/stream')) return held(signal);
      if (path !== '/publish') return undefined;
      if (free <= 0) await new Promise((resolve) => { waiting.push(resolve); });
      return Response.json({ results: JSON.parse(body).messages.map(({ topic }) => ({ topic })) });
    };
    await client.subscribe('t').ready;
    await settle();
    free = 0;
    const publishing = code(client.publish('t', 1));
    await clock.advance(2000);
    assert.equal(await publishing, 'done');
    await settle();
    assert.equal(free, 0, 'and the receiver has it back');
    client.close();
    delete globalThis.document;
  });
}

for (const transport of ['websocket', 'sse', 'polling']) {
  test(`a wrong topic is refused alone over ${transport}, without a request to the broker`, async () => {
    const { fake, client } = start(transport);
    fake.answer = (url, { signal }) => {
      if (url.endsWith('/publish')) return Response.json({ results: [] });
      return url.endsWith('/healthz') ? undefined : never(signal);
    };
    if (transport === 'websocket') await fake.welcome();
    await client.ready;
    for (const topic of ['', '.', '..', 'a..b', '.a', 'a.', 'a\ud800', undefined, null, 5, {}]) {
      const codes = await Promise.all([client.subscribe(topic).ready, client.publish(topic, 1), client.history(topic), client.presence(topic)].map(code));
      assert.deepEqual(codes, ['bad_topic', 'bad_topic', 'bad_topic', 'bad_topic'], String(topic));
    }
    assert.equal(await code(client.publish('t', 1, { key: 5 })), 'bad_option');
    assert.equal(await code(client.request(5)), 'bad_option');
    if (transport !== 'websocket') assert.deepEqual([await code(client.request('..')), await code(client.request(''))], ['bad_frame', 'bad_frame']);
    for (const since of [new Date('x'), { ts: NaN }, {}, 5, { epoch: '1' }]) {
      assert.throws(() => client.subscribe('t', { since }), { code: 'bad_option' });
      assert.equal(await code(client.history('t', { since })), 'bad_option');
    }
    assert.equal(client.status.state, 'connected');
    client.close();
  });
}

test('what the constructor of a WebSocket throws is not a close code', async () => {
  const clock = new FakeClock();
  const fake = new FakeBroker();
  const client = connect('http://broker.test', {
    WebSocket: class { constructor() { throw new DOMException('mixed content is blocked', 'SecurityError'); } }, fetch: fake.fetch, clock, log: false, transports: ['websocket'],
  });
  const error = await client.ready.catch((thrown) => thrown);
  assert.ok(error instanceof FanwireError);
  assert.deepEqual([error.code, error.status], ['unreachable', undefined]);
  assert.match(error.message, /mixed content is blocked/);
  client.close();
});

test('without a token, a refusal speaks of the option', async () => {
  for (const transport of ['websocket', 'sse', 'polling']) {
    const { fake, client } = start(transport);
    fake.answer = (url) => (url.endsWith('/healthz') ? undefined : problem(401, 'unauthorized', 'begin with a \'connect\' frame'));
    await settle();
    if (transport === 'websocket') {
      const hello = fake.socket.heard.shift();
      fake.socket.say({ type: 'error', id: hello.id, code: 'unauthorized', message: 'begin with a \'connect\' frame that has a token' });
    }
    await assert.rejects(client.ready, (error) => error.code === 'unauthorized' && /`token`/.test(error.message) && !/frame/.test(error.message));
    await settle();
    assert.equal(client.status.state, 'closed');
  }
});
