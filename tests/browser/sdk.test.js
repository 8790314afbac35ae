// The JavaScript client in a real browser against the real broker: every method over every transport, and each fallback
// where a proxy breaks a transport.
import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect } from '../../client-sdk/js/dist/fanwire.mjs';
import { msgpack } from '../../client-sdk/js/dist/fanwire-msgpack.mjs';
import { tabs } from '../../client-sdk/js/dist/fanwire-tabs.mjs';
import { after, before, test } from 'node:test';
import { startBreakingProxy } from './breaking-proxy.js';
import { startBroker } from './broker.js';
import { openTab, startBrowser } from './browser.js';
import { openClient, seenAtLeast, transportOf } from './sdk.js';

let broker;
let browser;
before(async () => {
  broker = await startBroker();
  browser = await startBrowser();
});
after(async () => {
  await browser?.close();
  await broker?.stop();
});

for (const transport of ['websocket', 'sse', 'polling']) {
  test(`every method over ${transport}`, async () => {
    const page = await openClient(browser, broker.url, { transports: [transport] });
    const topic = `sdk.${transport}.all`;
    await broker.publish(topic, 'before');
    assert.equal((await page.evaluate(() => broker.ready)).transport, transport);

    const joined = await page.evaluate((topic) => watch(topic, { since: 'earliest' }).ready, topic);
    assert.deepEqual([joined.recovered, joined.position.offset], [true, 1]);
    const receipts = await page.evaluate(async (topic) => [
      await broker.publish(topic, 'text ü 🙂'),
      await broker.publish(topic, { list: [1, null], nested: { a: 'b' } }),
      await broker.publish(topic, new Uint8Array([0, 255])),
      await broker.publish(topic, 'keyed', { key: 'k1' }),
      await broker.publish(topic, 'keyed', { key: 'k1' }),
      await broker.publish(topic, 'quiet', { echo: false }),
    ], topic);
    assert.deepEqual(receipts.map(({ duplicate }) => duplicate), [false, false, false, false, true, false]);
    assert.deepEqual(receipts.map(({ position }) => position.offset), [2, 3, 4, 5, 5, 6]);
    await broker.publish(topic, Buffer.from([1, 2]));
    const seen = await seenAtLeast(page, 6);
    const bytes = (value) => (value && value[1] !== undefined && typeof value === 'object' && !Array.isArray(value) && !value.list ? Object.values(value) : value);
    assert.deepEqual(seen.map(bytes), ['before', 'text ü 🙂', { list: [1, null], nested: { a: 'b' } }, [0, 255], 'keyed', [1, 2]]);
    assert.equal(await page.evaluate(() => seen[3] instanceof Uint8Array), true);

    const history = await page.evaluate((topic) => broker.history(topic, { limit: 2 }), topic);
    assert.deepEqual([history.messages.map(({ data }) => data), history.more], [['before', 'text ü 🙂'], true]);
    const newest = await page.evaluate((topic) => broker.history(topic, { limit: 2, reverse: true }), topic);
    assert.deepEqual(newest.messages.map(({ position }) => position.offset), [7, 6]);
    const later = await page.evaluate(([topic, since]) => broker.history(topic, { since }), [topic, receipts[4].position]);
    assert.deepEqual(later.messages.map(({ position }) => position.offset), [6, 7]);

    // A loop over the newest two, beside the handler, and a pattern beside both.
    const looped = await page.evaluate(async (topic) => {
      const abort = new AbortController();
      const heard = [];
      await broker.subscribe('sdk.*.all', (message) => heard.push(message.topic)).ready;
      const looped = [];
      for await (const message of broker.subscribe(topic, { last: 2, signal: abort.signal })) {
        looped.push(message.position.offset);
        if (looped.length === 2) await broker.publish(topic, 'live');
        if (looped.length === 3) abort.abort();
      }
      return { looped, heard };
    }, topic);
    assert.deepEqual(looped.looped, [6, 7, 8]);
    await page.waitForFunction(() => seen.at(-1) === 'live');

    const refused = await page.evaluate(async () => {
      const codeOf = (promise) => promise.then(() => 'done', (error) => error.code);
      return [
        await codeOf(broker.subscribe('two words').ready),
        await codeOf(broker.publish('$broker.own', 'x')),
        await codeOf(broker.subscribe('a.*', { last: 1 }).ready),
        await codeOf(broker.publish('a', 'x'.repeat(1024 * 1024 + 1))),
        await codeOf(broker.presence('a')),
        await codeOf(broker.request('orders.total', { customer: 17 })),
      ];
    });
    assert.deepEqual(refused, ['bad_topic', 'forbidden', 'bad_topic', 'too_large', 'unavailable', 'unavailable']);
    assert.equal(page.complaints.filter((text) => text.startsWith('fanwire: ')).length, 6, page.complaints.join('\n'));
    await page.evaluate(() => broker.close());
    assert.equal(await page.evaluate(() => broker.status.state), 'closed');
    await page.close();
  });
}

test('presence and requests to the application work over every transport', async () => {
  const application = createServer(async (request, response) => {
    let body = '';
    for await (const piece of request) body += piece;
    const { method, data, data_base64: bytes } = JSON.parse(body);
    const answers = { add: { data: data?.[0] + data?.[1] }, echo: bytes === undefined ? { data } : { data_base64: bytes } };
    response.end(JSON.stringify(method in answers ? { allow: true, ...answers[method] } : { allow: false, message: 'no such method' }));
  });
  await new Promise((resolve) => { application.listen(0, '127.0.0.1', resolve); });
  const directory = await mkdtemp(join(tmpdir(), 'fanwire-sdk-'));
  const file = join(directory, 'fanwire.toml');
  await writeFile(file, `[hooks]\nurl = "http://127.0.0.1:${application.address().port}/"\nsecret = "a secret of this test"\ncallouts = ["request"]\n`
    + '[[topic]]\nmatch = "room.*"\npresence = true\n');
  const asked = await startBroker({}, ['--config', file]);
  const there = await openClient(browser, asked.url, { transports: ['websocket'] });
  await there.evaluate(() => broker.subscribe('room.1').ready.then(() => 'subscribed'));
  for (const transport of ['websocket', 'sse', 'polling']) {
    const page = await openClient(browser, asked.url, { transports: [transport] });
    const seen = await page.evaluate(async () => {
      const codeOf = (promise) => promise.then(() => 'done', ({ code, message }) => [code, message]);
      const bytes = await broker.request('echo', new Uint8Array([0, 255]));
      return {
        members: (await broker.presence('room.1')).length,
        none: await broker.presence('room.2'),
        sum: await broker.request('add', [3, 4]),
        text: await broker.request('echo', 'text ü'),
        bytes: [bytes instanceof Uint8Array, ...bytes],
        refused: await codeOf(broker.request('what?', 1)),
      };
    });
    assert.deepEqual(seen, { members: 1, none: [], sum: 7, text: 'text ü', bytes: [true, 0, 255], refused: ['forbidden', 'no such method'] }, transport);
    await page.close();
  }
  await there.close();
  await asked.stop();
  application.close();
  await rm(directory, { recursive: true });
});

test('MessagePack delivers what JSON delivers, and numbers that JSON cannot', async () => {
  const page = await openTab(browser, `${broker.url}/`);
  for (const url of ['/fanwire.js', '/fanwire-msgpack.js']) await page.addScriptTag({ url });
  const seen = await page.evaluate(async () => {
    const packed = fanwire.connect('', { codec: fanwire.msgpack });
    const plain = fanwire.connect();
    const seen = { packed: [], plain: [] };
    const all = new Promise((resolve) => {
      const show = (value) => JSON.stringify(value, (_, inner) => (inner instanceof Uint8Array ? `bytes ${inner}` : inner));
      const keep = (list) => ({ data, position }) => {
        list.push(`${position.offset} ${show(data)}`);
        if (seen.packed.length === 4 && seen.plain.length === 4) resolve();
      };
      window.ready = Promise.all([packed.subscribe('sdk.packed', keep(seen.packed)).ready, plain.subscribe('sdk.packed', keep(seen.plain)).ready]);
    });
    await window.ready;
    for (const payload of ['text 🙂', { nested: [1, -2.5, null, { a: true }] }, new Uint8Array([0, 255]), 42]) await packed.publish('sdk.packed', payload);
    await all;
    const { messages, more, gap } = await packed.history('sdk.packed', { limit: 1 });
    const codes = await Promise.all([packed.publish('two words', 1), packed.publish('a', () => 1)].map((promise) => promise.catch(({ code }) => code)));
    return { ...seen, history: [messages[0].data, more, gap], codes, protocol: packed.status.transport };
  });
  assert.deepEqual(seen.packed, ['1 "text 🙂"', '2 {"nested":[1,-2.5,null,{"a":true}]}', '3 "bytes 0,255"', '4 42']);
  assert.deepEqual(seen.plain, seen.packed);
  assert.deepEqual([seen.history, seen.codes, seen.protocol], [['text 🙂', true, false], ['bad_topic', 'bad_frame'], 'websocket']);

  const large = await page.evaluate(async () => {
    const packed = fanwire.connect('', { codec: fanwire.msgpack });
    const next = packed.subscribe('sdk.large')[Symbol.asyncIterator]();
    await packed.publish('sdk.other', 1);
    const body = '[9007199254740993,18446744073709551615,-9223372036854775808]';
    await fetch('/topics/sdk.large', { method: 'POST', headers: { 'Content-Type': 'application/json' }, body });
    return (await next.next()).value.data.map(String);
  });
  assert.deepEqual(large, ['9007199254740993', '18446744073709551615', '-9223372036854775808']);
  await page.close();
});

test('the module and the plain script are the same client', async () => {
  const page = await openTab(browser, `${broker.url}/`);
  const exported = await page.evaluate(async () => {
    const { connect, FanwireError } = await import('/fanwire.mjs');
    const broker = connect();
    const { transport } = await broker.ready;
    broker.close();
    return [transport, typeof FanwireError];
  });
  assert.deepEqual(exported, ['websocket', 'function']);
  for (const file of ['fanwire.js', 'fanwire.mjs', 'fanwire-tabs.js', 'fanwire-tabs.mjs', 'fanwire-msgpack.js', 'fanwire-msgpack.mjs']) {
    const { headers } = await fetch(`${broker.url}/${file}`);
    assert.equal(headers.get('content-type'), 'text/javascript; charset=utf-8');
  }
  assert.deepEqual(page.complaints, []);
  await page.close();
});

for (const [how, expected] of [['refuse', 'sse'], ['strip', 'sse'], ['swallow', 'sse']]) {
  test(`a proxy that does not let WebSockets through (${how}): Server-Sent Events, and that is remembered`, async () => {
    const proxy = await startBreakingProxy(broker.port);
    proxy.websocket = how;
    try {
      const page = await openClient(browser, proxy.url);
      assert.equal(await transportOf(page), expected);
      const topic = `sdk.fallback.${how}`;
      await page.evaluate((topic) => watch(topic).ready, topic);
      await broker.publish(topic, 'one');
      await page.evaluate((topic) => broker.publish(topic, 'two'), topic);
      assert.deepEqual(await seenAtLeast(page, 2), ['one', 'two']);
      assert.equal(page.complaints.filter((text) => /websocket does not get through/.test(text)).length, 1, 'one line is printed');

      // The next page of this browser does not try again.
      proxy.asked.length = 0;
      await page.reload();
      await page.addScriptTag({ url: '/fanwire.js' });
      await page.evaluate(() => { window.broker = fanwire.connect(); });
      assert.equal(await transportOf(page), expected);
      assert.deepEqual(proxy.asked.filter((path) => path.startsWith('ws ') || path === '/ws'), []);
      await page.close();
    } finally {
      await proxy.stop();
    }
  });
}

for (const how of ['gather', 'refuse']) {
  test(`a proxy that breaks event streams too (${how}): long polling`, async () => {
    const proxy = await startBreakingProxy(broker.port);
    proxy.websocket = 'refuse';
    proxy.stream = how;
    try {
      const page = await openClient(browser, proxy.url);
      const topic = `sdk.polling.${how}`;
      await page.evaluate((topic) => watch(topic).ready, topic);
      await broker.publish(topic, 'one');
      assert.deepEqual(await seenAtLeast(page, 1), ['one']);
      assert.equal(await transportOf(page), 'polling');
      await page.evaluate((topic) => broker.publish(topic, 'two'), topic);
      assert.deepEqual(await seenAtLeast(page, 2), ['one', 'two'], 'nothing is lost or doubled by the fallback');
      await page.close();
    } finally {
      await proxy.stop();
    }
  });
}

test('in Node, where there may be no WebSocket, the same client works over what there is', async () => {
  const expected = globalThis.WebSocket ? 'websocket' : 'sse';
  for (const options of [{}, { transports: ['polling'] }, { codec: msgpack, share: tabs() }]) {
    const client = connect(broker.url, { log: false, ...options });
    try {
      assert.equal((await client.ready).transport, options.transports?.[0] ?? expected);
      const topic = 'sdk.node';
      const subscription = client.subscribe(topic);
      await subscription.ready;
      const heard = subscription[Symbol.asyncIterator]();
      await client.publish(topic, { n: 1 });
      assert.deepEqual((await heard.next()).value.data, { n: 1 });
      await assert.rejects(client.publish('two words', 1), { name: 'FanwireError', code: 'bad_topic' });
    } finally {
      client.close();
    }
  }
  // No server listens on that port: the promise rejects, and close() ends the timers of the attempts.
  const client = connect('http://127.0.0.1:9', { log: false });
  await assert.rejects(client.ready, { code: 'unreachable' });
  client.close();
});
