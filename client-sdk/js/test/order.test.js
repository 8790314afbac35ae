// Requests leave in the order in which they were made, so that a subscription receives what is published after it, and nothing before it.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FakeClock, settle } from './clock.js';
import { FakeBroker } from './fake-broker.js';
import { source } from './source.js';

const { connect } = source;

test('over WebSocket, requests of one turn leave in their order, and equal subscriptions are one request', async () => {
  const fake = new FakeBroker();
  const client = connect('http://broker.test', { WebSocket: fake.WebSocket, fetch: fake.fetch, clock: new FakeClock(), log: false, transports: ['websocket'] });
  await fake.welcome();
  client.publish('a', 1).catch(() => {});
  client.subscribe('a');
  client.subscribe('a');
  client.publish('a', 2).catch(() => {});
  client.subscribe('b');
  client.history('b').catch(() => {});
  client.subscribe('c').unsubscribe();
  await settle();
  assert.deepEqual(fake.socket.heard.map(({ type, topic, data }) => [type, topic, data].filter(Boolean).join(' ')), [
    'publish a 1', 'subscribe a', 'publish a 2', 'subscribe b', 'history b',
  ]);
  client.close();
});

for (const transport of ['sse', 'polling']) {
  test(`over ${transport}, a publish waits for the joins before it, and a join for the publications before it`, async () => {
    const fake = new FakeBroker();
    const done = [];
    const steps = [];
    const later = (name, body) => new Promise((resolve) => {
      steps.push([name, () => {
        done.push(name);
        resolve(Response.json(body));
      }]);
    });
    fake.answer = (url, { body }) => {
      const path = url.slice('http://broker.test'.length);
      if (path === '/publish') {
        const { messages } = JSON.parse(body);
        return messages.length === 0 ? Response.json({ results: [] }) : later(`publish ${messages.map(({ data }) => data)}`, { results: messages.map(({ topic }) => ({ topic })) });
      }
      if (path.startsWith('/topics/')) return later(`read ${path.slice('/topics/'.length).split('?')[0]}`, { messages: [], cursor: '1:5', gap: false, more: false });
      if (path.includes('wait=0')) return later('probe', { messages: [], cursor: '1:5', gap: false, more: false });
      if (path.startsWith('/stream') && transport === 'sse') {
        return new Promise((resolve) => {
          steps.push(['stream', () => {
            done.push('stream');
            resolve(new Response(new ReadableStream({ start: (controller) => controller.enqueue(new TextEncoder().encode(': hello\n\n')) })));
          }]);
        });
      }
      return path.startsWith('/stream') ? new Promise(() => {}) : undefined;
    };
    const client = connect('http://broker.test', { fetch: fake.fetch, clock: new FakeClock(), log: false, transports: [transport] });
    await client.ready;
    client.publish('a', 1).catch(() => {});
    client.publish('a', 2).catch(() => {});
    client.subscribe('a');
    client.subscribe('b.*');
    client.publish('a', 3).catch(() => {});
    client.publish('a', 4).catch(() => {});
    client.history('c').catch(() => {});
    for (let round = 0; round < 20; round++) {
      await settle();
      // The newest first, so that only a real order is seen.
      steps.pop()?.[1]();
    }
    const expected = transport === 'sse'
      ? ['publish 1', 'publish 2', 'probe', 'read a', 'stream', 'publish 3,4', 'read c']
      : ['publish 1', 'publish 2', 'probe', 'read a', 'publish 3,4', 'read c'];
    assert.deepEqual(done, expected);
    client.close();
  });
}
