// The parts of the client that need no connection: back-off, close codes, progress, patterns, addresses, payloads, streams.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { source } from './source.js';

const { Backoff, eventReader, expiryMs, FanwireError, matches, isPattern, parseAddress, Progress, TransportChoice, snapshot, verdictOf } = source;
const at = (epoch, offset) => ({ epoch, offset });

test('waits double up to the cap, and jitter is full', () => {
  const backoff = new Backoff({ baseMs: 100, capMs: 1000 });
  assert.deepEqual([1, 1, 1, 1, 1, 1].map((random) => backoff.next(random)), [100, 200, 400, 800, 1000, 1000]);
  backoff.reset();
  assert.equal(backoff.next(0), 50, 'there is a floor');
  assert.equal(backoff.next(0.5), 100);
});

test('the client gives up after the maximum of attempts', () => {
  const backoff = new Backoff({ attemptsMax: 2 });
  assert.deepEqual([backoff.next(0), backoff.next(0), backoff.next(0)], [50, 50, undefined]);
});

test('close codes decide whether to reconnect, and the closing frame has precedence', () => {
  const again = [undefined, 1001, 1011, 1012, 3500, 4408, 4413, 4429, 4500];
  const final = [1000, 1002, 1003, 1007, 1008, 1009, 1010, 4000, 4400, 4401, 4403, 4440, 4477];
  for (const code of again) assert.equal(verdictOf(undefined, code).again, true, String(code));
  for (const code of final) assert.equal(verdictOf(undefined, code).again, false, String(code));
  const closing = (reconnect, after) => ({ type: 'closing', code: 4401, reason: '', reconnect, after_ms: after });
  assert.deepEqual(verdictOf(closing(true, 5), 4401), { again: true, afterMs: 5 });
  assert.deepEqual(verdictOf(closing(true, 1e12), 4401), { again: true, afterMs: 300_000 });
  assert.equal(verdictOf(closing(false, 5), 1001).again, false);
});

test('a live subscription resumes from where it joined and then from its last message', () => {
  const progress = new Progress('a', {});
  assert.deepEqual(progress.wanted(), { since: undefined });
  assert.equal(progress.joined(at('1', 10), true), false);
  assert.deepEqual(progress.wanted(), { since: at('1', 10) });
  assert.equal(progress.take('a', at('1', 17)), true);
  assert.equal(progress.take('a', at('1', 17)), false, 'once only');
  assert.equal(progress.take('a', at('1', 12)), false);
  assert.deepEqual(progress.wanted(), { since: at('1', 17) });
  assert.equal(progress.joined(at('1', 30), true), false);
  assert.deepEqual(progress.wanted(), { since: at('1', 17) }, 'the replay up to 30 has not been seen yet');
  assert.equal(progress.joined(at('2', 3), false), true, 'another epoch is a loss');
  assert.equal(progress.take('a', at('2', 1)), true, 'small offsets of a new epoch are news');
});

test('a subscription to the newest few reports what it may have missed before its first message', () => {
  const progress = new Progress('a', { last: 2 });
  assert.equal(progress.joined(at('1', 5), true), false);
  assert.deepEqual(progress.wanted().last, 2);
  assert.equal(progress.joined(at('1', 9), true), true);
  const empty = new Progress('a', { last: 2 });
  empty.joined(at('1', 0), true);
  assert.deepEqual(empty.wanted(), { since: at('1', 0) });
});

test('a pattern cannot resume, and knows each of its topics', () => {
  const progress = new Progress('a.*', {});
  assert.equal(progress.joined(undefined, true), false);
  assert.equal(progress.knows('a.b'), false);
  assert.equal(progress.take('a.b', at('1', 5)), true);
  assert.equal(progress.take('a.c', at('2', 1)), true);
  assert.equal(progress.take('a.b', at('1', 5)), false);
  assert.equal(progress.knows('a.b'), true);
  assert.deepEqual(progress.wanted(), {});
  assert.equal(progress.joined(undefined, true), true);
});

test('cursors of one topic are positions, and only the broker reads others', () => {
  assert.deepEqual(new Progress('a', { since: '5f3a:17' }).wanted(), { since: at('5f3a', 17) });
  assert.deepEqual(new Progress('a', { since: 'm.abc' }).wanted().since, 'm.abc');
  assert.deepEqual(new Progress('a', { since: 'earliest' }).wanted().since, 'earliest');
  assert.deepEqual(new Progress('a', { since: new Date(5) }).wanted().since, { ts: 5 });
  assert.equal(new Progress('a', { since: new Date(5) }).seen, undefined);
});

test('patterns match as the broker matches them', () => {
  const yes = [['a', 'a'], ['a.*', 'a.b'], ['*.b', 'a.b'], ['a.>', 'a.b'], ['a.>', 'a.b.c'], ['>', 'a'], ['a.*.c', 'a.b.c']];
  const no = [['a', 'b'], ['a.*', 'a'], ['a.*', 'a.b.c'], ['a.>', 'a'], ['*', '$sys'], ['>', '$sys.a'], ['a.b', 'a'], ['a', 'a.b']];
  for (const [pattern, topic] of yes) assert.equal(matches(pattern, topic), true, `${pattern} ${topic}`);
  for (const [pattern, topic] of no) assert.equal(matches(pattern, topic), false, `${pattern} ${topic}`);
  assert.deepEqual(['a.b', 'a.*', '>', 'a*b'].map(isPattern), [false, true, true, false]);
});

test('every way of writing an address means the same broker', () => {
  const check = (text, http, websocket, page) => assert.deepEqual(parseAddress(text, page), { http, websocket }, text);
  check('http://127.0.0.1:7400', 'http://127.0.0.1:7400', 'ws://127.0.0.1:7400/ws');
  check('ws://127.0.0.1:7400/ws', 'http://127.0.0.1:7400', 'ws://127.0.0.1:7400/ws');
  check('localhost:7400', 'http://localhost:7400', 'ws://localhost:7400/ws');
  check('https://example.org/live/', 'https://example.org/live', 'wss://example.org/live/ws');
  check('wss://example.org/live', 'https://example.org/live', 'wss://example.org/live');
  check('', 'https://example.org', 'wss://example.org/ws', 'https://example.org/shop/page.html?x=1#y');
  check('/live', 'https://example.org/live', 'wss://example.org/live/ws', 'https://example.org/page?x=1');
});

test('a wrong address is refused, and the error repeats no secret', () => {
  for (const text of ['', 'nonsense', 'ftp://x', 'http://x/?token=secret', 'http://ann:secret@x', 'http://x#secret', 'http://']) {
    assert.throws(() => parseAddress(text), (error) => error.code === 'bad_url' && !error.message.includes('secret'), text);
  }
});

test('the error of a payload that cannot be published names the reason', () => {
  const circle = {};
  circle.self = circle;
  for (const payload of [undefined, () => 1, circle, Symbol('x'), 2n ** 64n, [-(2n ** 63n) - 1n]]) {
    assert.throws(() => snapshot(payload, 100, 't'), (error) => error instanceof FanwireError && error.code === 'bad_frame');
  }
  for (const payload of ['x'.repeat(101), 'ü'.repeat(51), new Uint8Array(101), { text: 'x'.repeat(100) }]) {
    assert.throws(() => snapshot(payload, 100, 't'), (error) => error.code === 'too_large' && error.message.includes('100'));
  }
  assert.equal(snapshot('x'.repeat(100), 100, 't').length, 100);
  assert.deepEqual(snapshot(new Uint16Array([1, 2]), 100, 't'), new Uint8Array([1, 0, 2, 0]));
  assert.deepEqual(snapshot(new Uint8Array([7]).buffer, 100, 't'), new Uint8Array([7]));
  assert.equal(snapshot(null, 100, 't'), null);
});

test('an event stream reads the same in pieces of any size', () => {
  const text = 'retry: 1000\n\n: comment\n\ndata: one\n\nevent: gap\r\ndata: {"a":\r\ndata: 1}\r\n\r\ndata:two\rdata\r\rid: 7\n\n';
  const expected = [{ type: 'message', data: 'one' }, { type: 'gap', data: '{"a":\n1}' }, { type: 'message', data: 'two\n' }];
  for (let size = 1; size <= text.length; size++) {
    const seen = [];
    const read = eventReader((event) => seen.push(event));
    for (let from = 0; from < text.length; from += size) read(text.slice(from, from + size));
    assert.deepEqual(seen, expected, `pieces of ${size}`);
  }
});

test('only a JWT has a known end', () => {
  const jwt = (claims) => `e30.${Buffer.from(JSON.stringify(claims)).toString('base64url')}.x`;
  assert.equal(expiryMs(jwt({ exp: 1767229200, name: 'Jürgen ÿþ' })), 1767229200_000);
  for (const token of [undefined, '', 'a.b.c', 'abc', jwt({}), jwt({ exp: '1' })]) assert.equal(expiryMs(token), undefined, token);
});

test('a transport that does not get through is left out for a while, also on the next page', () => {
  const kept = new Map();
  const memory = { getItem: (key) => kept.get(key) ?? null, setItem: (key, value) => kept.set(key, value) };
  const make = () => new TransportChoice(['websocket', 'sse', 'polling'], 'http://b', memory);
  const first = make();
  assert.equal(first.best(0), 'websocket');
  assert.equal(first.demote('websocket', 0), true);
  assert.equal(first.best(1), 'sse');
  assert.equal(make().best(1), 'sse');
  assert.equal(make().best(300_000), 'websocket');
  assert.equal(first.demote('sse', 1), true);
  assert.equal(first.demote('polling', 1), false);
  first.reset();
  assert.equal(first.best(1), 'websocket');
  assert.equal(new TransportChoice(['websocket'], 'x', { getItem() { throw new Error('forbidden'); } }).best(0), 'websocket');
});
