// The JavaScript client where the network, the browser or the application misbehaves: bounded tries, a fallback that gets through, and an error that names
// the cause.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import https from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { pathToFileURL } from 'node:url';
import { WebSocket } from 'ws';
import { connect } from '../../client-sdk/js/dist/fanwire.mjs';
import { startBreakingProxy } from './breaking-proxy.js';
import { startBroker } from './broker.js';
import { openTab, startBrowser } from './browser.js';
import { openClient, seenAtLeast, transportOf } from './sdk.js';

let broker;
let guarded;
let browser;
let folder;
before(async () => {
  broker = await startBroker();
  guarded = await startBroker({ FANWIRE_AUTH_SECRET: 'a secret of the tests, long enough for HS256' });
  browser = await startBrowser('--host-resolver-rules=MAP *.example 127.0.0.1', '--ignore-certificate-errors');
  folder = mkdtempSync(join(tmpdir(), 'fanwire-network-'));
});
after(async () => {
  await browser?.close();
  await guarded?.stop();
  await broker?.stop();
  rmSync(folder, { recursive: true });
});

/** Opens a page of another server with the client's script in it. */
async function openElsewhere(url) {
  const page = await openTab(browser, url);
  await page.addScriptTag({ content: readFileSync(new URL('../../client-sdk/js/dist/fanwire.js', import.meta.url), 'utf8') });
  return page;
}

const blank = (_, response) => {
  response.setHeader('Content-Type', 'text/html');
  response.end('<!doctype html><link rel="icon" href="data:,">');
};

/** Starts a server; its port. */
async function listen(server) {
  await new Promise((resolve) => { server.listen(0, '127.0.0.1', resolve); });
  return server.address().port;
}

for (const transport of ['websocket', 'sse', 'polling']) {
  test(`refused tokens are requested a bounded number of times over ${transport}, and the client closes`, async () => {
    const reasons = [];
    const client = connect(guarded.url, { WebSocket, transports: [transport], log: false, token: (reason) => { reasons.push(reason); return 'a.b.c'; } });
    const states = [];
    const closed = new Promise((resolve) => client.on('status', ({ state }) => { states.push(state); if (state === 'closed') resolve(); }));
    await assert.rejects(client.subscribe('t').ready, { code: 'unauthorized' });
    await closed;
    assert.deepEqual([reasons, states], [['connect', 'refused'], ['connecting', 'reconnecting', 'closed']]);
  });

  test(`without a token over ${transport}, the error speaks of the option`, async () => {
    const client = connect(guarded.url, { WebSocket, transports: [transport], log: false });
    await assert.rejects(client.ready, (error) => error.code === 'unauthorized' && error.message.includes('`token`') && !/frame|Bearer/.test(error.message));
  });

  test(`a page that loads while the broker starts keeps trying over ${transport}`, async () => {
    const server = http.createServer(blank);
    const page = await openElsewhere(`http://127.0.0.1:${await listen(server)}/`);
    // First a proxy whose answers no page may read, then nothing, then the broker.
    const gate = http.createServer((_, response) => response.writeHead(502).end());
    gate.on('upgrade', (_, socket) => socket.destroy());
    const port = await listen(gate);
    await page.evaluate(([url, transport]) => {
      window.broker = fanwire.connect(url, { transports: [transport], reconnect: { capMs: 300 } });
      window.errors = [];
      broker.on('status', ({ state, attempt, error }) => errors.push([state, attempt, error?.code]));
    }, [`http://127.0.0.1:${port}`, transport]);
    await page.waitForFunction(() => broker.status.attempt >= 2);
    gate.closeAllConnections();
    await new Promise((resolve) => { gate.close(resolve); });
    await page.waitForFunction((before) => errors.length > before + 2, await page.evaluate(() => errors.length));
    const late = await startBroker({}, [], `127.0.0.1:${port}`);
    await page.waitForFunction(() => broker.status.state === 'connected');
    assert.equal(await page.evaluate(() => errors.some(([state]) => state === 'closed')), false);
    await page.close();
    await late.stop();
    server.close();
  });
}

test('a WebSocket that is killed shortly after each opening is replaced by event streams', async () => {
  const proxy = await startBreakingProxy(broker.port);
  proxy.websocketMs = 300;
  const page = await openClient(browser, proxy.url, { reconnect: { capMs: 200 } });
  await page.waitForFunction(() => broker.status.transport === 'sse');
  await page.evaluate(() => watch('network.killed').ready);
  await broker.publish('network.killed', 'through');
  assert.deepEqual(await seenAtLeast(page, 1), ['through']);
  await page.close();
  await proxy.stop();
});

test('six tabs with event streams, which take all connections of the browser, can still publish', async () => {
  const context = await browser.newContext();
  const pages = [];
  for (let tab = 0; tab < 6; tab++) {
    const page = await context.newPage();
    await page.goto(`${broker.url}/`);
    await page.addScriptTag({ url: '/fanwire.js' });
    await page.evaluate(() => {
      window.seen = [];
      window.broker = fanwire.connect('', { transports: ['sse'] });
      return broker.subscribe('network.six', ({ data }) => seen.push(data)).ready;
    });
    pages.push(page);
  }
  for (const [tab, page] of pages.entries()) await page.evaluate((tab) => broker.publish('network.six', tab), tab);
  for (const page of pages) assert.deepEqual(await seenAtLeast(page, 6), [0, 1, 2, 3, 4, 5]);
  await context.close();
});

test('a page with https and a broker without: the error names the cause', async () => {
  execFileSync('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-subj', '/CN=shop.example', '-days', '2', '-keyout', join(folder, 'key'), '-out', join(folder, 'cert')], { stdio: 'pipe' });
  const server = https.createServer({ key: readFileSync(join(folder, 'key')), cert: readFileSync(join(folder, 'cert')) }, blank);
  const page = await openElsewhere(`https://shop.example:${await listen(server)}/`);
  for (const transport of ['websocket', 'sse', 'polling']) {
    const [code, message, state] = await page.evaluate(async ([url, transport]) => {
      const client = fanwire.connect(url, { transports: [transport] });
      const error = await client.ready.catch((thrown) => thrown);
      return [error.code, error.message, client.status.state];
    }, [`http://live.example:${broker.port}`, transport]);
    assert.deepEqual([code, state], ['bad_url', 'closed'], message);
    assert.match(message, /https/);
  }
  await page.close();
  server.close();
});

test('a page that was opened as a file: the error says to serve it over http', async () => {
  const file = join(folder, 'page.html');
  writeFileSync(file, '<!doctype html><title>file</title>');
  const page = await openElsewhere(pathToFileURL(file).href);
  const [code, message, state, relative] = await page.evaluate(async (url) => {
    const client = fanwire.connect(url);
    const error = await client.ready.catch((thrown) => thrown);
    let relative;
    try {
      fanwire.connect();
    } catch (thrown) {
      relative = `${thrown.code}: ${thrown.message}`;
    }
    return [error.code, error.message, client.status.state, relative];
  }, broker.url);
  assert.deepEqual([code, state], ['forbidden', 'closed'], message);
  assert.match(message, /over http/i);
  assert.doesNotMatch(message, /add .*null|add it/);
  assert.match(relative, /^bad_url: .*full address/);
  await page.close();
});

test('tabs that share a connection all end when it is over for good', async () => {
  const context = await browser.newContext();
  const open = async () => {
    const page = await context.newPage();
    await page.goto(`${guarded.url}/`);
    for (const url of ['/fanwire.js', '/fanwire-tabs.js']) await page.addScriptTag({ url });
    await page.evaluate(() => { window.broker = fanwire.connect('', { share: fanwire.tabs(), token: 'not a token', log: false }); });
    return page;
  };
  const pages = [await open(), await open()];
  for (const page of pages) await page.waitForFunction(() => broker.status.state === 'closed');
  for (const page of pages) assert.equal(await page.evaluate(() => broker.status.error.code), 'unauthorized');
  await context.close();
});

test('over HTTP, the client loads its second file once, from where its script came from', async () => {
  const proxy = await startBreakingProxy(broker.port);
  const page = await openClient(browser, proxy.url, { transports: ['sse', 'polling'] });
  assert.equal(await transportOf(page), 'sse');
  assert.equal(proxy.asked.filter((path) => path === '/fanwire-http.mjs').length, 1);
  const other = await openClient(browser, proxy.url);
  assert.equal(await transportOf(other), 'websocket');
  assert.equal(proxy.asked.filter((path) => path === '/fanwire-http.mjs').length, 1, 'a page over WebSocket does not need it');
  for (const one of [page, other]) await one.close();
  await proxy.stop();
});

test('a page that hosts the script alone loads the second file from the broker', async () => {
  const requested = [];
  const server = http.createServer((request, response) => {
    requested.push(request.url);
    if (request.url === '/') return blank(request, response);
    response.setHeader('Content-Type', 'text/javascript');
    response.statusCode = request.url === '/own/fanwire.js' ? 200 : 404;
    return response.end(response.statusCode === 200 ? readFileSync(new URL('../../client-sdk/js/dist/fanwire.js', import.meta.url)) : '');
  });
  const page = await openTab(browser, `http://127.0.0.1:${await listen(server)}/`);
  await page.addScriptTag({ url: '/own/fanwire.js' });
  const transport = await page.evaluate(async (url) => (await fanwire.connect(url, { transports: ['sse'] }).ready).transport, broker.url);
  assert.equal(transport, 'sse');
  assert.ok(requested.includes('/own/fanwire-http.mjs'), requested.join());
  await page.close();
  server.close();
});
