// Every retry has a minimum wait and a bound, and everything that is waited for has a time-out.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FakeClock, settle } from './clock.js';
import { FakeBroker } from './fake-broker.js';
import { source } from './source.js';

const { connect } = source;
const jwt = (exp) => `e30.${Buffer.from(JSON.stringify({ exp })).toString('base64url')}.x`;
const refusal = () => new Response(JSON.stringify({ code: 'unauthorized', detail: 'this token is not accepted' }), { status: 401, headers: { 'Content-Type': 'application/problem+json' } });

/** A client with a token function, and what it was called with. */
function start(transport, token, options = {}) {
  const fake = new FakeBroker();
  const clock = new FakeClock();
  const reasons = [];
  const client = connect('http://broker.test', {
    WebSocket: fake.WebSocket, fetch: fake.fetch, clock, log: false, transports: [transport], token: (reason) => {
      reasons.push(reason);
      return token(reason);
    }, ...options,
  });
  return { fake, clock, reasons, client };
}

/** Answers the `connect` frame that a WebSocket has sent, if any. */
async function refuse(fake) {
  await settle();
  const hello = fake.socket?.heard.shift();
  if (hello) fake.socket.say({ type: 'error', id: hello.id, code: 'unauthorized', message: 'this token is not accepted' });
  await settle();
}

for (const transport of ['websocket', 'sse', 'polling']) {
  test(`a token function whose tokens are refused is called a bounded number of times over ${transport}, with waits, and then it is over`, async () => {
    const { fake, clock, reasons, client } = start(transport, () => 'wrong');
    fake.answer = (url) => (url.endsWith('/healthz') ? undefined : refusal());
    client.subscribe('t');
    const states = [];
    client.on('status', ({ state, waitMs }) => states.push([state, waitMs]));
    for (let round = 0; round < 50; round++) {
      await refuse(fake);
      await clock.advance(1000);
    }
    assert.deepEqual(reasons, ['connect', 'refused']);
    assert.deepEqual(states, [['connecting', undefined], ['reconnecting', 250], ['closed', undefined]], 'never connected');
    assert.equal(client.status.error.code, 'unauthorized');
    await assert.rejects(client.ready, { code: 'unauthorized' });
  });

  test(`a clock that is an hour ahead is no reason to renew tokens, over ${transport}`, async () => {
    const { fake, clock, reasons, client } = start(transport, async () => jwt(1_000_000 - 3600 + 300));
    clock.time = 1_000_000_000;
    fake.answer = (url, { signal }) => {
      if (url.endsWith('/publish')) return Response.json({ results: [] });
      return url.endsWith('/healthz') ? undefined : new Promise((_, reject) => { signal?.addEventListener('abort', () => reject(signal.reason)); });
    };
    if (transport === 'websocket') await fake.welcome({ ping_interval: 0 });
    await settle();
    assert.equal(client.status.state, 'connected');
    await clock.advance(100_000);
    assert.deepEqual(reasons, ['connect']);
    client.close();
  });

  test(`a token function that never settles, or returns no text, over ${transport}`, async () => {
    const never = start(transport, () => new Promise(() => {}), { timeoutMs: 3000 });
    await assert.rejects(Promise.race([never.client.ready, never.clock.advance(3000).then(() => settle())]), (error) => error.code === 'timeout' && /token function/.test(error.message));
    assert.equal(never.client.status.state, 'reconnecting');
    await never.clock.advance(250);
    assert.deepEqual(never.reasons, ['connect', 'connect']);
    never.client.close();
    assert.deepEqual(never.clock.waits, [3000], 'nothing but the call that is under way');
    for (const token of [undefined, null, 5, {}, ['a']]) {
      const { client, clock, reasons } = start(transport, () => token);
      await assert.rejects(client.ready, (error) => error.code === 'bad_option' && /token/.test(error.message));
      await clock.advance(100_000);
      assert.deepEqual([client.status.state, reasons], ['closed', ['connect']], String(token));
    }
  });
}

test('a token function that always returns the same token, which is about to end, is not called in a loop', async () => {
  const end = 1_000_100;
  const { fake, clock, reasons, client } = start('websocket', async () => jwt(end));
  clock.time = 1_000_000_000;
  await fake.welcome({ ping_interval: 0 });
  for (let second = 0; second < 200; second++) {
    await clock.advance(1000);
    while (fake.socket.heard.length > 0) fake.socket.reply('refreshed', { expires: end });
    await settle();
  }
  assert.ok(reasons.length <= 12, `${reasons.length} calls`);
  client.close();
});

test('a session that ends unauthorized right after every opening is bounded, too', async () => {
  const { fake, clock, reasons, client } = start('websocket', () => 'a token');
  for (let round = 0; round < 10 && client.status.state !== 'closed'; round++) {
    await fake.welcome();
    fake.socket.end(4401, 'the token has ended');
    await clock.advance(1000);
  }
  assert.deepEqual([client.status.state, reasons], ['closed', ['connect', 'refused']]);
});

test('a token option that is no text and no function throws, and null is none', () => {
  for (const token of [5, {}, true]) assert.throws(() => connect('http://x', { token, log: false }), { code: 'bad_option' });
  connect('http://127.0.0.1:9', { token: null, log: false }).close();
});

test('no wait is shorter than the minimum, whatever is drawn or the broker names, and repeated failures wait longer than it names', async () => {
  const fake = new FakeBroker();
  const clock = new FakeClock(0);
  const client = connect('http://broker.test', { WebSocket: fake.WebSocket, fetch: fake.fetch, clock, log: false, transports: ['websocket'] });
  const waits = [];
  client.on('status', ({ waitMs }) => { if (waitMs !== undefined) waits.push(waitMs); });
  for (const named of [0, 0, 400]) {
    await fake.welcome();
    fake.socket.end(1001, 'restarting', { reconnect: true, after_ms: named });
    await clock.advance(500);
  }
  clock.drawn = 1;
  await fake.welcome();
  fake.socket.end(1001, 'restarting', { reconnect: true, after_ms: 0 });
  await settle();
  assert.deepEqual(waits, [50, 50, 400, 2000]);
  client.close();
});

test('a WebSocket that breaks shortly after each opening is replaced by event streams', async () => {
  const fake = new FakeBroker();
  const clock = new FakeClock();
  fake.answer = (url, { signal }) => {
    if (url.endsWith('/publish')) return Response.json({ results: [] });
    return url.endsWith('/healthz') ? undefined : new Promise((_, reject) => { signal?.addEventListener('abort', () => reject(signal.reason)); });
  };
  const client = connect('http://broker.test', { WebSocket: fake.WebSocket, fetch: fake.fetch, clock, log: false });
  for (let round = 0; round < 3; round++) {
    await fake.welcome();
    assert.equal(client.status.transport, 'websocket');
    await clock.advance(1500);
    fake.socket.cut();
    if (round < 2) await clock.advance(1000);
  }
  await settle();
  await settle();
  assert.deepEqual([client.status.state, client.status.transport, fake.sockets.length], ['connected', 'sse', 3]);
  client.close();
});

test('a WebSocket that holds for a while between its breaks is kept', async () => {
  const fake = new FakeBroker();
  const clock = new FakeClock();
  const client = connect('http://broker.test', { WebSocket: fake.WebSocket, fetch: fake.fetch, clock, log: false });
  for (let round = 0; round < 6; round++) {
    await fake.welcome({ ping_interval: 0 });
    assert.equal(client.status.transport, 'websocket');
    await clock.advance(round % 2 ? 6000 : 1000);
    fake.socket.cut();
    await clock.advance(1000);
  }
  client.close();
});

test('over HTTP, connected is said when the broker has said so', async () => {
  const fake = new FakeBroker();
  let release;
  fake.answer = (url) => (url.endsWith('/publish') ? new Promise((resolve) => { release = () => resolve(Response.json({ results: [] })); }) : undefined);
  const client = connect('http://broker.test', { fetch: fake.fetch, clock: new FakeClock(), log: false, transports: ['sse'] });
  await settle();
  assert.equal(client.status.state, 'connecting');
  release();
  await settle();
  assert.equal(client.status.state, 'connected');
  client.close();
});

for (const transport of ['sse', 'polling']) {
  test(`a refusal over ${transport} that names a wait in Retry-After is followed after that wait`, async () => {
    const fake = new FakeBroker();
    const clock = new FakeClock();
    const client = connect('http://broker.test', { WebSocket: fake.WebSocket, fetch: fake.fetch, clock, log: false, transports: [transport] });
    const problem = (status, code) => new Response(JSON.stringify({ code, detail: 'too many connections' }), { status, headers: { 'Retry-After': '7' } });
    let answer = () => problem(503, 'unavailable');
    fake.answer = (url) => (url.endsWith('/publish') ? answer() : undefined);
    const waits = [];
    client.on('status', ({ waitMs }) => waits.push(waitMs));
    await settle();
    assert.deepEqual(waits, [undefined, 7000]);
    // A refusal of the token is not one that passes with time.
    answer = () => problem(401, 'unauthorized');
    await clock.advance(7000);
    await settle();
    assert.equal(client.status.state, 'closed');
  });
}
