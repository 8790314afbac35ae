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

test('values that no connection can have are errors at once', async () => {
  for (const options of [{ name: 5 }, { transports: 'sse' }, { transports: ['sockets'] }, { token: 5 }, { token: {} }]) await errorOf(() => connect('http://x', options));
});
