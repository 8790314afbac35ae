// What an application receives that registers late, or leaves early: nothing is lost between a promise and a listener, and nothing is delivered after
// `unsubscribe()`.
import assert from 'node:assert/strict';
import { afterEach, beforeEach, test } from 'node:test';
import { FakeClock, settle } from './clock.js';
import { FakeBroker } from './fake-broker.js';
import { source } from './source.js';

const { connect } = source;
let fake;
let client;
beforeEach(() => { fake = new FakeBroker(); });
afterEach(() => client?.close());

function start() {
  client = connect('http://broker.test', { WebSocket: fake.WebSocket, fetch: fake.fetch, clock: new FakeClock(), log: false, transports: ['websocket'] });
  return client;
}

const message = (offset) => ({ type: 'message', topic: 't', epoch: '1', offset, ts: 5, data: offset });

/** Subscribes without a listener, and joins. */
async function joined(options = {}, recovered = true) {
  const subscription = start().subscribe('t', options);
  await fake.welcome();
  fake.socket.reply('subscribed', { topic: 't', epoch: '1', offset: 5, recovered });
  return subscription;
}

test('messages between ready and the first loop are kept', async () => {
  const subscription = await joined({ last: 5 });
  for (const offset of [1, 2, 3, 4, 5]) fake.socket.say(message(offset));
  await subscription.ready;
  await settle();
  fake.socket.say(message(6));
  const seen = [];
  for await (const { data } of subscription) {
    seen.push(data);
    if (data === 6) break;
  }
  assert.deepEqual(seen, [1, 2, 3, 4, 5, 6]);
});

test('messages between ready and the first handler are kept, and arrive before newer ones', async () => {
  const subscription = await joined();
  fake.socket.say(message(6));
  await settle();
  const seen = [];
  const off = subscription.on('message', ({ data }) => {
    seen.push(data);
    if (data === 9) off();
  });
  assert.deepEqual(seen, [], 'never from inside on()');
  fake.socket.say(message(7));
  await settle();
  fake.socket.say(message(8));
  assert.deepEqual(seen, [6, 7, 8]);
  const second = [];
  subscription.on('message', ({ data }) => second.push(data));
  fake.socket.say(message(9));
  fake.socket.say(message(10));
  assert.deepEqual([seen, second], [[6, 7, 8, 9], [9, 10]], 'what is kept is for the first handler alone');
});

test('more messages than are kept are reported as lost before the rest', async () => {
  const subscription = await joined();
  const events = [];
  for (let offset = 6; offset < 1506; offset++) fake.socket.say(message(offset));
  subscription.on('lost', ({ missed }) => events.push(`lost ${missed}`));
  subscription.on('message', ({ data }) => events.push(data));
  await settle();
  assert.deepEqual([events.slice(0, 500), events[500], events.length], [Array(500).fill('lost 1'), 506, 1500]);
});

test('messages of a subscription that the broker ended are read before its error', async () => {
  const subscription = await joined();
  fake.socket.say(message(6));
  fake.socket.say({ type: 'unsubscribed', topic: 't', code: 'forbidden', reason: 'over' });
  const loop = subscription[Symbol.asyncIterator]();
  assert.equal((await loop.next()).value.data, 6);
  await assert.rejects(loop.next(), { code: 'forbidden' });
  assert.deepEqual(await loop.next(), { value: undefined, done: true });
});

test('late listeners receive the present state: status, joined, ended, and losses before them', async () => {
  const subscription = await joined({}, false);
  await subscription.ready;
  const events = [];
  for (const name of ['joined', 'lost', 'ended']) subscription.on(name, (event) => events.push([name, event.recovered ?? event.code]));
  client.on('status', ({ state }) => events.push(['status', state]));
  assert.deepEqual(events, []);
  await settle();
  assert.deepEqual(events, [['joined', false], ['lost', undefined], ['status', 'connected']]);
  fake.socket.say({ type: 'unsubscribed', topic: 't', code: 'forbidden', reason: 'over' });
  const late = [];
  subscription.on('ended', ({ code }) => late.push(code));
  await settle();
  assert.deepEqual([events.at(-1), late], [['ended', 'forbidden'], ['forbidden']]);
  client.close();
  const states = [];
  for await (const { state } of client.statuses()) states.push(state);
  assert.deepEqual(states, ['closed']);
});

test('several next() at once are answered in their order, also by the end', async () => {
  const subscription = await joined();
  const loop = subscription[Symbol.asyncIterator]();
  const asked = [loop.next(), loop.next(), loop.next(), loop.next()];
  fake.socket.say(message(6));
  fake.socket.say(message(7));
  fake.socket.say({ type: 'unsubscribed', topic: 't', code: 'forbidden', reason: 'over' });
  const outcomes = await Promise.allSettled(asked);
  assert.deepEqual(outcomes.map(({ status, value, reason }) => [status, value?.value?.data ?? value?.done ?? reason.code]), [
    ['fulfilled', 6], ['fulfilled', 7], ['rejected', 'forbidden'], ['fulfilled', true],
  ]);
});

test('nothing is delivered after unsubscribe, not even what is under way', async () => {
  const subscription = start().subscribe('t', { since: 'earliest' });
  const events = [];
  for (const name of ['joined', 'message', 'lost', 'join', 'leave', 'ended']) subscription.on(name, () => events.push(name));
  const other = client.subscribe('t', () => {});
  await fake.welcome();
  subscription.unsubscribe();
  fake.socket.reply('subscribed', { topic: 't', epoch: '1', offset: 5, recovered: false });
  await settle();
  if (fake.socket.heard.some(({ type }) => type === 'subscribe')) fake.socket.reply('subscribed', { topic: 't', epoch: '1', offset: 5, recovered: true });
  fake.socket.say(message(6));
  fake.socket.say({ type: 'join', topic: 't', user: 'ann', connection: 'c' });
  fake.socket.say({ type: 'lagged', topic: 't', missed: 1 });
  client.close();
  await settle();
  assert.deepEqual(events, []);
  assert.ok(other);
});

test('a listener that another one ends during an event is not called for it', async () => {
  const subscription = await joined();
  const seen = [];
  subscription.on('message', () => {
    seen.push('first');
    off();
  });
  const off = subscription.on('message', () => seen.push('second'));
  await settle();
  fake.socket.say(message(6));
  assert.deepEqual(seen, ['first']);
});

test('abort listeners are removed when a subscription or request is over', async () => {
  const { signal } = new AbortController();
  let listeners = 0;
  const { addEventListener, removeEventListener } = signal;
  signal.addEventListener = (...all) => {
    listeners += 1;
    addEventListener.apply(signal, all);
  };
  signal.removeEventListener = (...all) => {
    listeners -= 1;
    removeEventListener.apply(signal, all);
  };
  start();
  for (let round = 0; round < 20; round++) client.subscribe(`t${round}`, { signal }).unsubscribe();
  assert.equal(listeners, 0);
  const refused = client.subscribe('..', { signal });
  await assert.rejects(refused.ready, { code: 'bad_topic' });
  const pending = [client.history('t', { signal }), client.publish('t', 1, { signal })].map((promise) => promise.catch(() => {}));
  client.subscribe('t', { signal });
  assert.equal(listeners, 3);
  client.close();
  await Promise.all(pending);
  assert.equal(listeners, 0);
});

test('handlers that throw odd values, or return promises of another kind, do not end the process', async () => {
  const broker = start();
  const errors = [];
  broker.on('error', ({ message: text }) => errors.push(text));
  const odd = [Object.create(null), Symbol('x'), undefined, { toString() { throw new Error('no text'); } }, new Proxy({}, { get() { throw new Error('trap'); } })];
  for (const value of odd) broker.subscribe('t', () => { throw value; });
  broker.subscribe('t', () => ({ then: (_, reject) => reject(Object.create(null)) }));
  broker.subscribe('t', () => Promise.reject(Object.create(null)));
  await fake.welcome();
  fake.socket.reply('subscribed', { topic: 't', epoch: '1', offset: 5, recovered: true });
  fake.socket.say(message(6));
  await settle();
  assert.equal(errors.length, 7, errors.join('\n'));
  assert.equal(broker.status.state, 'connected');
});

test('a log that throws does not affect the client', async () => {
  const fail = () => { throw new Error('the log is full'); };
  client = connect('http://broker.test', { WebSocket: fake.WebSocket, fetch: fake.fetch, clock: new FakeClock(), log: { error: fail, warn: fail }, transports: ['websocket'] });
  client.subscribe('t', () => { throw new Error('mine'); });
  await fake.welcome();
  fake.socket.reply('subscribed', { topic: 't', epoch: '1', offset: 5, recovered: true });
  fake.socket.say(message(6));
  await assert.rejects(client.publish('..', 1), { code: 'bad_topic' });
  fake.socket.cut();
  await settle();
  assert.equal(client.status.state, 'reconnecting');
});

test('a loop that is unsubscribed does not yield what it has kept', async () => {
  const subscription = await joined();
  for (const offset of [6, 7, 8]) fake.socket.say(message(offset));
  const seen = [];
  for await (const { data } of subscription) {
    seen.push(data);
    subscription.unsubscribe();
  }
  assert.deepEqual(seen, [6]);
});
