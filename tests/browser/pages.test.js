// The start page, and the origins from which browsers may use the broker: its own pages and those of loopback.
import assert from 'node:assert/strict';
import http from 'node:http';
import { after, before, test } from 'node:test';
import { startBroker } from './broker.js';
import { openTab, startBrowser } from './browser.js';

let broker;
let browser;
let elsewhere;  // Another web site on this machine; Chromium is told that evil.example lives here too.
before(async () => {
  broker = await startBroker();
  browser = await startBrowser('--host-resolver-rules=MAP evil.example 127.0.0.1');
  elsewhere = http.createServer((request, response) => {
    response.setHeader('Content-Type', 'text/html');
    response.end('<!doctype html><link rel="icon" href="data:,"><title>elsewhere</title>');
  });
  await new Promise((resolve) => elsewhere.listen(0, '127.0.0.1', resolve));
});
after(async () => {
  await browser?.close();
  elsewhere?.close();
  await broker?.stop();
});

test('the start page loads without errors, and every link on it works', async () => {
  const page = await openTab(browser, broker.url);
  assert.equal(await page.title(), 'fanwire');
  const links = await page.$$eval('a[href]', (anchors) => anchors.map((anchor) => anchor.href));
  assert.ok(links.length >= 5, `links: ${links}`);
  for (const link of [...links, `${broker.url}/favicon.svg`]) {
    const response = await fetch(link);
    await response.arrayBuffer();
    assert.equal(response.status, 200, link);
  }
  assert.equal((await fetch(`${broker.url}/favicon.svg`)).headers.get('content-type'), 'image/svg+xml');
  assert.match((await fetch(broker.url)).headers.get('content-type'), /^text\/html; ?charset=utf-8$/i);
  assert.deepEqual(page.complaints, []);
  await page.close();
});

test('the start page shows commands with the address it was loaded from', async () => {
  const page = await openTab(browser, broker.url);
  const commands = await page.$$eval('pre', (blocks) => blocks.map((block) => block.textContent));
  assert.ok(commands.length >= 3);
  for (const command of commands) {
    assert.ok(command.includes(`127.0.0.1:${broker.port}/topics/`), command);
    assert.ok(!command.includes('7400'), command);
  }
  await page.close();
});

/** Requests an upgrade with the given headers, and returns the status and body of the response. */
function upgrade(path, headers) {
  return new Promise((resolve, reject) => {
    const request = http.request(broker.url + path, {
      headers: {
        Connection: 'Upgrade',
        Upgrade: 'websocket',
        'Sec-WebSocket-Version': '13',
        'Sec-WebSocket-Key': 'dGhlIHNhbXBsZSBub25jZQ==',
        ...headers,
      },
    });
    request.on('upgrade', (response, socket) => {
      socket.destroy();
      resolve({ status: response.statusCode, body: '' });
    });
    request.on('response', (response) => {
      let body = '';
      response.on('data', (chunk) => { body += chunk; });
      response.on('end', () => resolve({ status: response.statusCode, body }));
    });
    request.on('error', reject);
    request.end();
  });
}

for (const path of ['/topics/origin.test', '/ws']) {
  test(`${path} refuses a WebSocket of a foreign page and names its origin`, async () => {
    const foreign = [
      'https://evil.example', 'http://localhost.evil.example', 'http://127.0.0.1.evil.example', 'http://evil.example:7400',
      'null', 'http://localhost@evil.example', 'http://[::2]', 'file://',
    ];
    for (const origin of foreign) {
      const { status, body } = await upgrade(path, { Origin: origin });
      assert.equal(status, 403, origin);
      const problem = JSON.parse(body);
      assert.equal(problem.code, 'forbidden', origin);
      assert.ok(problem.detail.includes(origin), `${origin} is named in: ${problem.detail}`);
    }
  });

  test(`${path} accepts a WebSocket of its own pages, of loopback, and of programs without an Origin`, async () => {
    const welcome = [broker.url, 'http://localhost:8000', 'https://localhost', 'http://127.0.0.1:3000', 'http://[::1]:3000'];
    for (const origin of welcome) assert.equal((await upgrade(path, { Origin: origin })).status, 101, origin);
    assert.equal((await upgrade(path, {})).status, 101, 'no origin');
  });
}

/** Returns what a page of `site` can do with the broker: {socket, read, stream}, each true or false. It also tries to publish. */
async function reach(site, topic) {
  const page = await openTab(browser, `http://${site}:${elsewhere.address().port}/`);
  const reached = await page.evaluate(async ([url, topic]) => {
    const socket = await new Promise((resolve) => {
      const socket = new WebSocket(`${url.replace('http', 'ws')}/topics/${topic}`);
      socket.onopen = () => resolve(true);
      socket.onerror = () => resolve(false);
    });
    const read = await fetch(`${url}/topics/${topic}`).then((response) => response.ok, () => false);
    const stream = await new Promise((resolve) => {
      const source = new EventSource(`${url}/topics/${topic}`);
      source.onopen = () => resolve(true);
      source.onerror = () => resolve(false);
    });
    // What a hostile page would do: a "simple" request, which browsers send without asking first.
    await fetch(`${url}/topics/${topic}`, { method: 'POST', mode: 'no-cors', body: 'text/plain from elsewhere' }).catch(() => {});
    await fetch(`${url}/topics/${topic}`, { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: '{}' }).catch(() => {});
    return { socket, read, stream };
  }, [broker.url, topic]);
  await page.close();
  const { messages } = await (await fetch(broker.topic(topic))).json();
  return { ...reached, published: messages.length };
}

test('a page from another site on loopback may subscribe and publish', async () => {
  assert.deepEqual(await reach('localhost', 'origin.good'), { socket: true, read: true, stream: true, published: 2 });
});

test('a page from a foreign site may neither subscribe nor publish', async () => {
  assert.deepEqual(await reach('evil.example', 'origin.evil'), { socket: false, read: false, stream: false, published: 0 });
});
