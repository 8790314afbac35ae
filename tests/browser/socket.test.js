// The bare WebSocket of a topic, as a page without any library uses it, and the payloads that other transports bring
// to it and take from it.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { startBroker } from './broker.js';
import { openTab, startBrowser } from './browser.js';

let broker;
let browser;
let page;
before(async () => {
  broker = await startBroker();
  browser = await startBrowser();
  page = await openTab(browser, broker.url);
  await page.evaluate(() => {
    // Opens a socket the way every tutorial does, and keeps what it brings as {text} or {bytes}.
    window.open_ = (path) => new Promise((resolve, reject) => {
      const socket = new WebSocket(location.origin.replace('http', 'ws') + path);
      const inbox = { socket, seen: [], closed: null };
      socket.binaryType = 'arraybuffer';
      socket.onopen = () => resolve(inbox);
      socket.onerror = () => reject(new Error('the socket failed'));
      socket.onmessage = (event) => {
        inbox.seen.push(typeof event.data === 'string' ? { text: event.data } : { bytes: [...new Uint8Array(event.data)] });
        inbox.told?.();
      };
      socket.onclose = (event) => {
        inbox.closed = { code: event.code, clean: event.wasClean };
        inbox.told?.();
      };
    });
    window.until = (inbox, ready) => new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error(`not in time; seen: ${JSON.stringify(inbox.seen)}`)), 10_000);
      inbox.told = () => {
        if (!ready(inbox)) return;
        clearTimeout(timer);
        resolve(inbox.seen);
      };
      inbox.told();
    });
  });
});
after(async () => {
  await browser?.close();
  await broker?.stop();
});

test('a plain WebSocket gets its own text and binary back as they were', async () => {
  const seen = await page.evaluate(async () => {
    const inbox = await open_('/topics/plain.echo');
    inbox.socket.send('grüße 🙂');
    inbox.socket.send(new Uint8Array([0, 1, 254, 255]));
    inbox.socket.send('');
    inbox.socket.send('{"still":"text"}');
    const seen = await until(inbox, (inbox) => inbox.seen.length === 4);
    inbox.socket.close();
    return seen;
  });
  assert.deepEqual(seen, [{ text: 'grüße 🙂' }, { bytes: [0, 1, 254, 255] }, { text: '' }, { text: '{"still":"text"}' }]);
});

test('what is published over HTTP arrives as the bare payload', async () => {
  await page.evaluate(async () => { window.inbox = await open_('/topics/plain.http'); });
  await broker.publish('plain.http', 'text');
  await broker.publish('plain.http', { number: 12345678901234567n.toString(), list: [1, null] });
  await broker.publish('plain.http', Buffer.from([255, 0]));
  const seen = await page.evaluate(() => until(window.inbox, (inbox) => inbox.seen.length === 3));
  assert.deepEqual(seen, [{ text: 'text' }, { text: '{"number":"12345678901234567","list":[1,null]}' }, { bytes: [255, 0] }]);
});

test('with echo=false a socket does not hear itself, and others do', async () => {
  const seen = await page.evaluate(async () => {
    const quiet = await open_('/topics/plain.quiet?echo=false');
    const other = await open_('/topics/plain.quiet');
    quiet.socket.send('from the quiet one');
    await until(other, (inbox) => inbox.seen.length === 1);
    other.socket.send('from the other one');
    await until(quiet, (inbox) => inbox.seen.length === 1);
    await until(other, (inbox) => inbox.seen.length === 2);
    return { quiet: quiet.seen, other: other.seen };
  });
  assert.deepEqual(seen.quiet, [{ text: 'from the other one' }]);
  assert.deepEqual(seen.other, [{ text: 'from the quiet one' }, { text: 'from the other one' }]);
});

test('since=CURSOR continues a bare socket exactly after the history that was read', async () => {
  for (const text of ['one', 'two']) await broker.publish('plain.since', text);
  const { cursor } = await (await fetch(broker.topic('plain.since'))).json();
  for (const text of ['three', 'four']) await broker.publish('plain.since', text);
  await page.evaluate(async (cursor) => {
    window.inbox = await open_(`/topics/plain.since?since=${encodeURIComponent(cursor)}`);
  }, cursor);
  await broker.publish('plain.since', 'five');
  const seen = await page.evaluate(() => until(window.inbox, (inbox) => inbox.seen.length >= 3));
  assert.deepEqual(seen, [{ text: 'three' }, { text: 'four' }, { text: 'five' }]);
});

test('a cursor that the broker cannot continue from is refused, never silently skipped', async () => {
  const refused = await page.evaluate(() => open_('/topics/plain.gap?since=deadbeef:7').then(() => false, () => true));
  assert.equal(refused, true);
  const history = await (await fetch(`${broker.topic('plain.gap')}?since=deadbeef:7`)).json();
  assert.equal(history.gap, true, 'the history says that something is missing');
});

test('a close handshake is answered with the same code', async () => {
  const closed = await page.evaluate(async () => {
    const inbox = await open_('/topics/plain.close');
    inbox.socket.close(1000, 'done');
    await until(inbox, (inbox) => inbox.closed !== null);
    return inbox.closed;
  });
  assert.deepEqual(closed, { code: 1000, clean: true });
});

test('binary arrives at an EventSource as base64 in an event of its own kind', async () => {
  await page.evaluate(() => new Promise((resolve, reject) => {
    window.heard = [];
    const source = new EventSource('/topics/plain.events');
    source.onopen = resolve;
    source.onerror = () => reject(new Error('the stream was refused'));
    source.onmessage = (event) => window.heard.push(['message', event.data]);
    source.addEventListener('binary', (event) => window.heard.push(['binary', event.data]));
  }));
  await page.evaluate(async () => {
    const inbox = await open_('/topics/plain.events');
    inbox.socket.send(new Uint8Array([0, 1, 254, 255]));
    inbox.socket.send('line one\nline two');
    await until(inbox, (inbox) => inbox.seen.length === 2);
  });
  await page.waitForFunction(() => window.heard.length >= 2);
  assert.deepEqual(await page.evaluate(() => window.heard), [['binary', 'AAH+/w=='], ['message', 'line one\nline two']]);
});
