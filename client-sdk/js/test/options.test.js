// Options and events that do not exist, or are in the wrong place, are errors, with a proposal where one is near.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { source } from './source.js';

const { connect, FanwireError } = source;
const client = connect('http://127.0.0.1:9', { log: false });
test.after(() => client.close());

/** The error of a call, thrown or rejected. */
async function errorOf(call) {
  try {
    await call();
  } catch (error) {
    assert.ok(error instanceof FanwireError, String(error));
    assert.equal(error.code, 'bad_option');
    return error.message;
  }
  return assert.fail('it was accepted');
}

test('a misspelt option or event names the near one', async () => {
  const near = [
    [() => connect('http://x', { tokn: 'x' }), 'token'],
    [() => connect('http://x', { Token: 'x' }), 'token'],
    [() => connect('http://x', { transport: ['sse'] }), 'transports'],
    [() => connect('http://x', { websocket: class {} }), 'WebSocket'],
    [() => connect('http://x', { reconnect: { basMs: 1 } }), 'baseMs'],
    [() => client.subscribe('t', { lst: 5 }), 'last'],
    [() => client.subscribe('t', () => {}, { onlost: () => {} }), 'onLost'],
    [() => client.publish('t', 1, { kye: 'x' }), 'key'],
    [() => client.history('t', { limt: 1 }), 'limit'],
    [() => client.presence('t', { timeoutMS: 1 }), 'timeoutMs'],
    [() => client.history('t', { timeout: 1 }), 'timeoutMs'],
    [() => client.request('m', 1, { singal: null }), 'signal'],
    [() => client.subscribe('t').on('mesage', () => {}), 'message'],
    [() => client.on('statuss', () => {}), 'status'],
  ];
  for (const [call, name] of near) {
    const text = await errorOf(call);
    assert.ok(text.includes(`did you mean '${name}'?`), text);
  }
});

test('an option in the wrong place names the right one', async () => {
  const misplaced = [
    [() => connect('http://x', { last: 5 }), 'subscribe'], [() => client.subscribe('t', { key: 'x' }), 'publish'], [() => client.subscribe('t', { reverse: true }), 'history'],
    [() => client.publish('t', 1, { token: 'x' }), 'connect'], [() => client.history('t', { echo: false }), 'publish'],
  ];
  for (const [call, place] of misplaced) assert.match(await errorOf(call), new RegExp(`belongs to ${place}`));
});

test('what is near nothing names all there are, and proposes nothing', async () => {
  for (const call of [() => connect('http://x', { password: 'x' }), () => client.subscribe('t', { from: 1 }), () => client.on('connect', () => {}), () => client.publish('t', 1, { qos: 2 })]) {
    const text = await errorOf(call);
    assert.ok(!text.includes('did you mean') && text.includes('There are: '), text);
  }
});

test('options that are no object, handlers that are no function, and arguments in the wrong order', async () => {
  const calls = [
    () => connect('http://x', 'token'), () => connect('http://x', null), () => client.subscribe('t', 'x'), () => client.subscribe('t', { last: 1 }, () => {}),
    () => client.subscribe('t', 'x', { last: 1 }), () => client.publish('t', 1, 'key'), () => client.publish('t', 1, null), () => client.on('status'),
  ];
  for (const call of calls) await errorOf(call);
  assert.throws(() => connect({ token: 'x' }), { code: 'bad_url' });
  client.subscribe('t', undefined, { last: 1 }).unsubscribe();
  client.subscribe('t', null, { last: 1 }).unsubscribe();
});

test('values of a wrong type are errors at once, and name the option and the type', async () => {
  const wrong = {
    connect: [{ name: 5 }, { transports: 'sse' }, { transports: ['sockets'] }, { token: 5 }, { token: {} }, { timeoutMs: '5' }, { codec: 'msgpack' }, { share: 'shop' }, { log: 'off' }, { reconnect: true }, { reconnect: { baseMs: '1' } }],
    subscribe: [{ last: '3' }, { token: 5 }, { signal: true }, { onLost: 'x' }, { since: 5 }],
    publish: [{ key: 5 }, { echo: 'no' }, { timeoutMs: '5' }],
    history: [{ limit: '3' }, { reverse: 'yes' }],
  };
  const calls = {
    connect: (options) => connect('http://x', options), subscribe: (options) => client.subscribe('t', options), publish: (options) => client.publish('t', 1, options),
    history: (options) => client.history('t', options),
  };
  for (const [call, all] of Object.entries(wrong)) {
    for (const options of all) assert.match(await errorOf(() => calls[call](options)), /`\w+` must be of type /, JSON.stringify(options));
  }
  assert.match(await errorOf(() => client.publish('t', 1, { echo: 'no' })), /publish: `echo` must be of type boolean/);
  // What is null or undefined is not set.
  client.subscribe('t', { last: undefined, token: null, since: 'earliest' }).unsubscribe();
});

test('an error that ends the connection and several requests is printed and emitted once', async () => {
  const printed = [];
  const one = connect('http://127.0.0.1:9', { log: { error: (text) => printed.push(text), warn() {} }, reconnect: { attemptsMax: 0 } });
  const emitted = [];
  one.on('error', (error) => emitted.push(error));
  const requests = [1, 2].map((number) => one.publish('t', number).catch((error) => error));
  const [first, second] = await Promise.all(requests);
  assert.equal(first, second);
  assert.deepEqual([printed.length, emitted], [1, [first]]);
});
