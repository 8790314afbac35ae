// The client where only HTTP gets through, over a broker in memory: gaps, and answers that arrive too soon.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FakeClock, settle } from './clock.js';
import { FakeBroker } from './fake-broker.js';
import { source } from './source.js';

const { connect } = source;
const entry = (epoch, offset) => ({ topic: 't', epoch, offset, ts: 1, data: `${epoch}:${offset}` });
const answer = (body) => Response.json(body);

/** A client over `transport`; The first of `answers` that begins like the path is used, once. */
function start(transport, answers) {
  const fake = new FakeBroker();
  const clock = new FakeClock();
  const asked = [];
  const sent = [];
  fake.answer = (url, { headers = {}, signal, body }) => {
    const path = url.slice('http://broker.test'.length);
    if (path === '/healthz') return undefined;
    if (body === '{"messages":[]}') return answer({ results: [] });
    if (body !== undefined) sent.push([headers['Content-Type'], body]);
    asked.push(headers['Last-Event-ID'] ? `${path} after ${headers['Last-Event-ID']}` : path);
    const found = answers.findIndex(([start]) => path.startsWith(start));
    if (found < 0) return new Promise((_, reject) => { signal?.addEventListener('abort', () => reject(signal.reason)); });
    return answers.splice(found, 1)[0][1]();
  };
  const client = connect('http://broker.test', { fetch: fake.fetch, clock, log: false, transports: [transport] });
  const seen = [];
  client.subscribe('t', (message) => seen.push(message.data), { onLost: () => seen.push('lost') });
  return { client, clock, asked, sent, seen };
}

test('a poll with a gap and messages reports the loss first, once', async () => {
  const { client, asked, seen } = start('polling', [
    ['/topics/t?limit=1', () => answer({ messages: [entry('1', 5)], cursor: '1:5', gap: false, more: false })],
    ['/stream', () => answer({ messages: [entry('2', 1)], cursor: '2:1', gap: true, more: false })],
    ['/topics/t?limit=1000', () => answer({ messages: [entry('2', 1)], cursor: '2:1', gap: true, more: false })],
  ]);
  await settle();
  await settle();
  assert.deepEqual(seen, ['lost', '2:1']);
  assert.deepEqual(asked, [
    '/topics/t?limit=1', '/stream?wait=25&envelope=true&topic=t&since=1:5', '/topics/t?limit=1000&since=1%3A5', '/stream?wait=25&envelope=true&topic=t&since=2:1',
  ]);
  client.close();
});

test('empty answers that arrive at once are not requested again at once', async () => {
  const empty = () => answer({ messages: [], cursor: '1:5', gap: false, more: false });
  const { client, clock, asked } = start('polling', [['/topics/t', empty], ['/stream', empty], ['/stream', empty]]);
  await settle();
  await settle();
  assert.equal(asked.length, 2);
  await clock.advance(999);
  assert.equal(asked.length, 2);
  await clock.advance(1);
  assert.equal(asked.length, 3);
  client.close();
});

test('an event stream with a gap reports the loss in its order, once, and continues from the new position', async () => {
  const stream = (text) => new Response(new ReadableStream({ start: (controller) => controller.enqueue(new TextEncoder().encode(text)) }));
  const frame = (one) => `data: ${JSON.stringify({ type: 'message', ...one })}\n\n`;
  const { client, asked, seen } = start('sse', [
    ['/topics/t?limit=1', () => answer({ messages: [], cursor: '1:5', gap: false, more: false })],
    ['/stream', () => stream(`retry: 1000\n\n${frame(entry('1', 6))}event: gap\ndata: {"topic":"t"}\n\n${frame(entry('2', 1))}`)],
    ['/topics/t?limit=1000', () => answer({ messages: [entry('2', 1)], cursor: '2:1', gap: true, more: false })],
    ['/stream', () => stream('retry: 1000\n\n')],
  ]);
  await settle();
  await settle();
  assert.deepEqual(seen, ['1:6', 'lost', '2:1']);
  assert.deepEqual(asked.slice(1), ['/stream?envelope=true&topic=t after 1:5', '/topics/t?limit=1000&since=1%3A6', '/stream?envelope=true&topic=t after 2:1']);
  client.close();
});

for (const transport of ['sse', 'polling']) {
  test(`presence and requests are calls over ${transport}`, async () => {
    const problem = (status, code, detail) => new Response(JSON.stringify({ code, detail }), { status, headers: { 'Content-Type': 'application/problem+json' } });
    const { client, asked, sent } = start(transport, [
      ['/topics/room%20/presence', () => problem(400, 'bad_topic', 'no white space')],
      ['/topics/room/presence', () => answer({ topic: 'room', members: [{ user: 'ann', connection: '1', info_base64: 'AQI=' }, { user: 'bob', connection: '2', info: { n: 1 } }] })],
      ['/request/total', () => answer([7])],
      ['/request/name', () => new Response('ü', { headers: { 'Content-Type': 'text/plain; charset=utf-8' } })],
      ['/request/picture', () => new Response(new Uint8Array([1, 2]), { headers: { 'Content-Type': 'application/octet-stream' } })],
      ['/request/a%2Fb', () => problem(403, 'forbidden', 'no such method')],
    ]);
    await settle();
    const members = await client.presence('room');
    assert.deepEqual(members, [{ topic: 'room', user: 'ann', connection: '1', info: new Uint8Array([1, 2]) }, { topic: 'room', user: 'bob', connection: '2', info: { n: 1 } }]);
    await assert.rejects(client.presence('room '), { code: 'bad_topic' });
    assert.deepEqual(await client.request('total', { customer: 17 }), [7]);
    assert.equal(await client.request('name'), 'ü');
    assert.deepEqual(await client.request('picture', new Uint8Array([3])), new Uint8Array([1, 2]));
    await assert.rejects(client.request('a/b', 'text'), { code: 'forbidden', message: 'no such method' });
    assert.deepEqual(sent, [
      ['application/json', '{"customer":17}'], ['application/json', 'null'], [undefined, new Uint8Array([3])], ['application/json', '"text"'],
    ]);
    assert.ok(asked.includes('/topics/room/presence'));
    client.close();
  });
}
