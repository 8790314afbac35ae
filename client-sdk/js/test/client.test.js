// The client over a broker in memory and a clock that the test controls: what is sent when, and what follows from a fault.
import assert from 'node:assert/strict';
import { afterEach, beforeEach, test } from 'node:test';
import { FakeClock, settle } from './clock.js';
import { FakeBroker } from './fake-broker.js';
import { source } from './source.js';

const { connect } = source;
let fake;
let clock;
let printed;
let client;
beforeEach(() => {
  fake = new FakeBroker();
  clock = new FakeClock();
  printed = [];
});
afterEach(() => client?.close());

function start(options = {}) {
  const print = (kind) => (...words) => printed.push(`${kind} ${words.map(String).join(' ')}`);
  client = connect('http://broker.test', {
    WebSocket: fake.WebSocket, fetch: fake.fetch, clock, log: { error: print('error'), warn: print('warn') }, transports: ['websocket'], ...options,
  });
  return client;
}

/** Returns the state of a promise: 'pending', its value, or its error. */
async function outcome(promise) {
  let stands = 'pending';
  promise.then((value) => { stands = { value }; }, (error) => { stands = { error }; });
  await settle();
  return stands;
}

const message = (offset, more = {}) => ({ type: 'message', topic: 't', epoch: '1', offset, ts: 5, data: `m${offset}`, ...more });

test('requests that waited for the connection follow the connect frame, subscriptions first', async () => {
  const broker = start({ token: 'secret', name: 'test/1' });
  assert.equal(broker.status.state, 'connecting');
  const publishing = broker.publish('t', 'hello');
  broker.subscribe('t');
  const hello = await fake.welcome({ user: 'ann' });
  assert.deepEqual(hello, { type: 'connect', id: 0, token: 'secret', name: 'test/1' });
  assert.equal(fake.socket.url, 'ws://broker.test/ws');
  assert.equal(fake.socket.protocol, 'fanwire.v1.json');
  assert.deepEqual(await broker.ready, { state: 'connected', transport: 'websocket', connection: 'c1', user: 'ann', server: 'fake' });
  assert.deepEqual(fake.socket.heard.map((frame) => frame.type), ['subscribe', 'publish']);
  fake.socket.reply('subscribed', { topic: 't', epoch: '1', offset: 0, recovered: true });
  fake.socket.reply('published', { topic: 't', epoch: '1', offset: 1 });
  assert.deepEqual(await publishing, { topic: 't', position: { epoch: '1', offset: 1 }, duplicate: false });
});

test('messages reach handlers, listeners and loops, each once', async () => {
  const broker = start();
  const seen = [];
  const subscription = broker.subscribe('t', (one) => seen.push(one.data));
  const other = broker.subscribe('t', { since: 'earliest' });
  await fake.welcome();
  fake.socket.reply('subscribed', { topic: 't', epoch: '1', offset: 2, recovered: true });
  assert.deepEqual(await subscription.ready, { topic: 't', position: { epoch: '1', offset: 2 }, recovered: true });
  // The second one begins in the past: the client leaves the topic and joins it again from there.
  assert.deepEqual(fake.socket.heard.map(({ type, since }) => [type, since]), [['unsubscribe', undefined], ['subscribe', 'earliest']]);
  fake.socket.heard.shift();
  fake.socket.reply('subscribed', { topic: 't', epoch: '1', offset: 2, recovered: true });
  for (const offset of [1, 2, 3]) fake.socket.say(message(offset));
  assert.deepEqual(seen, ['m3'], 'the first one does not receive the past');
  const loop = other[Symbol.asyncIterator]();
  fake.socket.say(message(4));
  fake.socket.say(message(4));
  fake.socket.say(message(5));
  for (const early of ['m1', 'm2', 'm3', 'm4']) assert.equal((await loop.next()).value.data, early);
  assert.deepEqual((await loop.next()).value, { topic: 't', data: 'm5', position: { epoch: '1', offset: 5 }, time: 5, from: undefined });
  await loop.return();
  subscription.unsubscribe();
  assert.deepEqual(fake.socket.heard.map(({ type }) => type), ['unsubscribe'], 'only after the last subscription');
  assert.deepEqual(seen, ['m3', 'm4', 'm5']);
});

test('a second subscription that begins with the newest few does not disturb the first', async () => {
  const broker = start();
  const seen = [];
  broker.subscribe('t', (one) => seen.push(['first', one.data]));
  await fake.welcome();
  fake.socket.reply('subscribed', { topic: 't', epoch: '1', offset: 3, recovered: true });
  broker.subscribe('t', (one) => seen.push(['second', one.data]), { last: 2 });
  await settle();
  const asked = fake.socket.heard[0];
  assert.deepEqual([asked.type, asked.limit, asked.reverse], ['history', 2, true]);
  fake.socket.say(message(4));
  fake.socket.reply('history', { topic: 't', epoch: '1', offset: 4, messages: [message(4), message(3)], more: true });
  fake.socket.say(message(5));
  assert.deepEqual(seen, [['first', 'm4'], ['second', 'm3'], ['second', 'm4'], ['first', 'm5'], ['second', 'm5']]);
});

test('active subscriptions receive lost when a join further back may have left a gap', async () => {
  const broker = start();
  const lost = [];
  broker.subscribe('t', { onLost: () => lost.push('first') });
  await fake.welcome();
  fake.socket.reply('subscribed', { topic: 't', epoch: '1', offset: 3, recovered: true });
  fake.socket.say(message(4));
  broker.subscribe('t', { since: { epoch: '1', offset: 1 }, onLost: () => lost.push('second') });
  await settle();
  fake.socket.heard.shift();
  fake.socket.reply('subscribed', { topic: 't', epoch: '1', offset: 9, recovered: false });
  assert.deepEqual(lost, ['second']);
  fake.socket.say(message(4));
  fake.socket.say(message(9));
  assert.deepEqual(lost, ['second'], 'what comes begins early enough');
  broker.subscribe('t', { since: { epoch: '1', offset: 2 } });
  await settle();
  fake.socket.heard.shift();
  fake.socket.reply('subscribed', { topic: 't', epoch: '1', offset: 20, recovered: false });
  fake.socket.say(message(12));
  assert.deepEqual(lost, ['second', 'first', 'second']);
});

test('a publish without echo is not delivered to its client, not even from the past', async () => {
  const broker = start();
  const seen = [];
  broker.subscribe('t', (one) => seen.push(one.data));
  await fake.welcome();
  fake.socket.reply('subscribed', { topic: 't', epoch: '1', offset: 0, recovered: true });
  broker.publish('t', 'm1', { echo: false });
  assert.equal(fake.socket.heard[0].echo, false);
  fake.socket.reply('published', { topic: 't', epoch: '1', offset: 1 });
  fake.socket.cut();
  await clock.advance(250);
  await fake.welcome();
  assert.deepEqual(fake.socket.heard[0].since, { epoch: '1', offset: 0 });
  fake.socket.reply('subscribed', { topic: 't', epoch: '1', offset: 2, recovered: true });
  fake.socket.say(message(1));
  fake.socket.say(message(2));
  assert.deepEqual(seen, ['m2']);
});

test('after a lost connection, subscriptions continue from their positions, and repeatable requests are sent again', async () => {
  const broker = start();
  const states = [];
  broker.on('status', ({ state, attempt, waitMs }) => states.push([state, attempt, waitMs]));
  const lost = [];
  broker.subscribe('t', { onLost: (one) => lost.push(one) });
  await fake.welcome();
  fake.socket.reply('subscribed', { topic: 't', epoch: '1', offset: 3, recovered: true });
  fake.socket.say(message(4));
  const safe = broker.publish('t', 'safe', { key: 'k' });
  const unsafe = outcome(broker.publish('t', 'unsafe'));
  const reading = broker.history('t');
  fake.socket.cut();
  const { error } = await unsafe;
  assert.equal(error.code, 'connection_lost');
  assert.match(error.message, /key/);
  await clock.advance(249);
  assert.equal(fake.sockets.length, 1, 'it waits for as long as it drew');
  await clock.advance(1);
  await fake.welcome();
  assert.deepEqual(states, [['connecting', undefined, undefined], ['connected', undefined, undefined], ['reconnecting', 1, 250], ['connected', undefined, undefined]]);
  assert.deepEqual(fake.socket.heard.map(({ type, since }) => [type, since]), [['subscribe', { epoch: '1', offset: 4 }], ['publish', undefined], ['history', undefined]]);
  fake.socket.reply('subscribed', { topic: 't', epoch: '2', offset: 1, recovered: false });
  fake.socket.reply('published', { topic: 't', epoch: '2', offset: 2, duplicate: true });
  fake.socket.reply('history', { topic: 't', epoch: '2', offset: 2, messages: [], more: false });
  assert.equal((await safe).duplicate, true);
  assert.deepEqual((await reading).messages, []);
  assert.deepEqual(lost, [{ topic: 't', missed: undefined }], 'a loss is always reported');
});

test('the closing frame decides whether and when the client reconnects', async () => {
  const broker = start();
  await fake.welcome();
  fake.socket.end(1001, 'shutting down', { reconnect: true, after_ms: 1500 });
  await settle();
  assert.equal(broker.status.waitMs, 1500);
  await clock.advance(1500);
  await fake.welcome();
  const subscription = broker.subscribe('t');
  await settle();
  fake.socket.end(4440, 'an operator disconnected this session');
  const { error } = await outcome(subscription.ready);
  assert.deepEqual([error.code, error.status, broker.status.state], ['disconnected', 4440, 'closed']);
  assert.match(error.message, /operator/);
  await clock.advance(100_000);
  assert.equal(fake.sockets.length, 2, 'it does not reconnect');
  await assert.rejects(broker.publish('t', 1), { code: 'disconnected' });
  await assert.rejects(broker.subscribe('t').ready, { code: 'disconnected' });
});

test('waits grow while no server answers; one line is printed, and the promise rejects', async () => {
  fake.isThere = false;
  const broker = start();
  const publishing = assert.rejects(broker.publish('t', 1), (error) => error.code === 'timeout' && /cannot reach/.test(error.message));
  await assert.rejects(broker.ready, { code: 'unreachable' });
  for (const waitMs of [250, 500, 1000, 2000]) {
    assert.equal(broker.status.waitMs, waitMs);
    await clock.advance(waitMs);
  }
  assert.equal(printed.filter((line) => line.includes('cannot reach')).length, 1, printed.join('\n'));
  await clock.advance(10_000);
  await publishing;
});

test('a broker that does not answer a ping is connected to again', async () => {
  const broker = start();
  await fake.welcome();
  await clock.advance(25_000);
  assert.deepEqual(fake.socket.heard, [{ type: 'ping', id: 0 }]);
  fake.socket.say({ type: 'pong', id: 0 });
  await clock.advance(25_000);
  assert.equal(fake.socket.heard.length, 2);
  await clock.advance(10_000);
  assert.equal(broker.status.state, 'reconnecting');
  assert.equal(fake.sockets[0].closedWith, 1000);
});

test('a token function is called for each connection, before the end of a token, and once after a refusal', async () => {
  clock.time = 1_000_000_000;
  const jwt = (seconds) => `e30.${Buffer.from(JSON.stringify({ exp: clock.time / 1000 + seconds })).toString('base64url')}.x`;
  const reasons = [];
  const broker = start({
    token: async (reason) => {
      reasons.push(reason);
      return jwt(100);
    },
  });
  await fake.welcome({ ping_interval: 0 });
  await clock.advance(89_999);
  fake.socket.heard.length = 0;
  await clock.advance(1);
  const refresh = fake.socket.reply('refreshed', { expires: 1 });
  assert.deepEqual([refresh.type, refresh.token.length > 20], ['refresh', true]);
  assert.deepEqual(reasons, ['connect', 'expiring']);
  fake.socket.end(4401, 'the token has ended');
  await settle();
  assert.deepEqual(reasons, ['connect', 'expiring'], 'not at once');
  await clock.advance(250);
  assert.deepEqual(reasons, ['connect', 'expiring', 'refused']);
  await fake.welcome();
  await clock.advance(5000);
  assert.equal(broker.status.state, 'connected');
  fake.socket.end(4401, 'the token has ended');
  await clock.advance(250);
  const hello = fake.socket.heard.shift();
  fake.socket.say({ type: 'error', id: hello.id, code: 'unauthorized', message: 'this token is not accepted' });
  await settle();
  assert.equal(broker.status.state, 'closed', 'two refusals in a row are final');
  assert.equal(broker.status.error.code, 'unauthorized');
  assert.equal(printed.filter((line) => line.startsWith('error')).length, 1, printed.join('\n'));
});

test('a refused token is one clear error', async () => {
  const broker = start({ token: 'wrong' });
  const subscription = broker.subscribe('t');
  const publishing = broker.publish('t', 1);
  await settle();
  const hello = fake.socket.heard.shift();
  fake.socket.say({ type: 'error', id: hello.id, code: 'unauthorized', message: 'this token is not accepted' });
  for (const promise of [broker.ready, subscription.ready, publishing]) {
    await assert.rejects(promise, (error) => error.code === 'unauthorized' && /not accepted/.test(error.message));
  }
  await clock.advance(100_000);
  assert.equal(fake.sockets.length, 1, 'without further attempts');
});

test('a handler that throws does not affect others, and its error is printed', async () => {
  const broker = start();
  const seen = [];
  const errors = [];
  broker.on('error', (error) => errors.push(error.message));
  broker.subscribe('t', () => { throw new Error('mine'); });
  broker.subscribe('t', async () => { throw new Error('later'); });
  broker.subscribe('t', (one) => seen.push(one.data));
  await fake.welcome();
  fake.socket.reply('subscribed', { topic: 't', epoch: '1', offset: 0, recovered: true });
  fake.socket.say(message(1));
  fake.socket.say(message(2));
  await settle();
  assert.deepEqual(seen, ['m1', 'm2']);
  assert.equal(printed.filter((line) => /'t'.*mine/.test(line)).length, 2, printed.join('\n'));
  assert.equal(printed.filter((line) => /'t'.*later/.test(line)).length, 2);
  assert.equal(errors.length, 4);
  assert.equal(broker.status.state, 'connected');
});

test('a message too large for the broker rejects that publish alone', async () => {
  const broker = start({ payloadBytesMax: 1e9 });
  const large = broker.publish('t', 'x'.repeat(2000));
  await fake.welcome();
  fake.socket.end(1009, 'a message larger than 1500 bytes');
  await assert.rejects(large, (error) => error.code === 'too_large' && /1500/.test(error.message));
  await clock.advance(250);
  await fake.welcome();
  assert.equal(broker.status.state, 'connected');
});

test('presence, presence events, requests, and frames that the broker sends unrequested', async () => {
  const broker = start();
  const events = [];
  const subscription = broker.subscribe('t');
  for (const name of ['join', 'leave', 'lost', 'ended']) subscription.on(name, (event) => events.push([name, event]));
  await fake.welcome();
  fake.socket.reply('subscribed', { topic: 't', epoch: '1', offset: 0, recovered: true });

  const members = broker.presence('t');
  fake.socket.reply('presence', { topic: 't', members: [{ user: 'ann', connection: 'c1', info: { n: 1 } }, { user: 'eve', connection: 'c2', info_base64: 'AQI=' }] });
  assert.deepEqual(await members, [
    { topic: 't', user: 'ann', connection: 'c1', info: { n: 1 } }, { topic: 't', user: 'eve', connection: 'c2', info: new Uint8Array([1, 2]) },
  ]);

  const total = broker.request('orders.total', { customer: 17 });
  const { id: _, ...asked } = fake.socket.reply('response', { data: { total: 99.5 } });
  assert.deepEqual(asked, { type: 'request', method: 'orders.total', data: { customer: 17 } });
  assert.deepEqual(await total, { total: 99.5 });
  const refused = broker.request('x');
  fake.socket.reply('error', { code: 'unavailable', message: 'no hook answers requests' });
  await assert.rejects(refused, { code: 'unavailable', message: 'no hook answers requests' });

  fake.socket.say({ type: 'join', topic: 't', user: 'bob', connection: 'c3', info: 'x' });
  fake.socket.say({ type: 'leave', topic: 't', user: 'bob', connection: 'c3' });
  fake.socket.say({ type: 'lagged', topic: 't', missed: 12 });
  fake.socket.say({ type: 'lagged' });
  fake.socket.say({ type: 'tomorrow', topic: 't' });
  fake.socket.say({ type: 'unsubscribed', topic: 't', code: 'forbidden', reason: 'the grant was taken back' });
  assert.deepEqual(events.slice(0, 4), [
    ['join', { topic: 't', user: 'bob', connection: 'c3', info: 'x' }], ['leave', { topic: 't', user: 'bob', connection: 'c3', info: undefined }],
    ['lost', { topic: 't', missed: 12 }], ['lost', { topic: 't', missed: undefined }],
  ]);
  assert.deepEqual([events[4][0], events[4][1].code], ['ended', 'forbidden']);
  assert.ok(printed.some((line) => line.includes('the grant was taken back')));
});

test('patterns are joined live, resume with lost, and do not receive the past of a matching topic', async () => {
  const broker = start();
  const seen = [];
  const lost = [];
  broker.subscribe('t.>', (one) => seen.push(one.data), { onLost: () => lost.push(1) });
  await fake.welcome();
  fake.socket.reply('subscribed', { topic: 't.>', recovered: true });
  broker.subscribe('t.a', { since: 'earliest' });
  await settle();
  fake.socket.reply('subscribed', { topic: 't.a', epoch: '1', offset: 2, recovered: true });
  for (const offset of [1, 2, 3]) fake.socket.say(message(offset, { topic: 't.a' }));
  assert.deepEqual(seen, ['m3']);
  fake.socket.cut();
  await clock.advance(250);
  await fake.welcome();
  const { since, last } = fake.socket.reply('subscribed', { topic: 't.>', recovered: true });
  assert.deepEqual([since, last, lost], [undefined, undefined, [1]]);
});

test('signals end requests and subscriptions', async () => {
  const broker = start();
  await fake.welcome();
  const abort = new AbortController();
  const asking = broker.history('t', { signal: abort.signal });
  const subscription = broker.subscribe('t', { signal: abort.signal });
  await settle();
  fake.socket.heard.shift();
  fake.socket.reply('subscribed', { topic: 't', epoch: '1', offset: 0, recovered: true });
  const loop = subscription[Symbol.asyncIterator]();
  const next = loop.next();
  abort.abort(new Error('enough'));
  await assert.rejects(asking, /enough/);
  assert.deepEqual(await next, { value: undefined, done: true });
  assert.deepEqual(fake.socket.heard.map(({ type }) => type), ['unsubscribe']);
  await assert.rejects(broker.history('t', { signal: abort.signal }), /enough/);
  await assert.rejects(broker.subscribe('t', { signal: abort.signal }).ready, { name: 'AbortError' });
});

test('a refused subscription ends with one error, and its loop throws it', async () => {
  const broker = start();
  const subscription = broker.subscribe('two words');
  const loop = subscription[Symbol.asyncIterator]();
  const next = loop.next();
  await fake.welcome();
  fake.socket.reply('error', { code: 'bad_topic', message: 'no white space' });
  await assert.rejects(subscription.ready, { code: 'bad_topic' });
  await assert.rejects(next, { code: 'bad_topic' });
  assert.deepEqual(printed, ["error fanwire: bad_topic: subscribing to 'two words': no white space"]);
});

test('close ends everything without printing an error', async () => {
  const broker = start();
  const subscription = broker.subscribe('t');
  const ended = [];
  subscription.on('ended', (error) => ended.push(error.code));
  const statuses = [];
  const following = (async () => { for await (const status of broker.statuses()) statuses.push(status.state); })();
  await fake.welcome();
  const asking = broker.history('t');
  broker.close();
  await assert.rejects(asking, { code: 'closed' });
  await assert.rejects(subscription.ready, { code: 'closed' });
  await following;
  assert.deepEqual(statuses, ['connecting', 'connected', 'closed']);
  assert.equal(fake.socket.closedWith, 1000);
  assert.deepEqual([printed, clock.waits], [[], []]);
});
