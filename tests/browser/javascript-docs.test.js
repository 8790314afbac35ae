// Every block of code in the JavaScript client's documents and the README's pages is run as it is shown; only the address is the test broker's.
import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { execFile } from 'node:child_process';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { startBroker } from './broker.js';
import { openTab, startBrowser } from './browser.js';

const SECRET = 'a secret of the tests, long enough for HS256';
const DOCS = 'docs/javascript.md';
const PACKAGE = 'client-sdk/js/README.md';
const README = 'README.md';

let broker;
let browser;
let server;
let shown = '';
before(async () => {
  broker = await startBroker();
  browser = await startBrowser();
  // Another server on this machine, as the documents say. It also returns tokens.
  server = http.createServer((request, response) => {
    response.setHeader('Content-Type', request.url === '/token' ? 'text/plain' : 'text/html');
    response.end(request.url === '/token' ? token() : request.url === '/' ? shown : '');
  });
  await new Promise((resolve) => { server.listen(0, '127.0.0.1', resolve); });
});
after(async () => {
  await browser?.close();
  server?.close();
  await broker?.stop();
});

function token() {
  const part = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');
  const signed = `${part({ alg: 'HS256', typ: 'JWT' })}.${part({ sub: 'ann', exp: Math.floor(Date.now() / 1000) + 60, fanwire: { subscribe: ['>'], publish: ['>'] } })}`;
  return `${signed}.${createHmac('sha256', SECRET).update(signed).digest('base64url')}`;
}

/** The blocks of a document, by the name of their language. */
function blocks(path, language) {
  const text = readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8');
  return [...text.matchAll(new RegExp(`^\`\`\`${language}\\n(.*?)^\`\`\`$`, 'gms'))].map(([, block]) => block);
}

/** A block with the address of the test broker. */
function here(block, { url } = broker) {
  assert.ok(block.includes('localhost:7400'), 'a block uses the default address');
  return block.replaceAll('localhost:7400', url.slice('http://'.length));
}

/** Opens a block as a page of its own. */
async function openShown(block, from = broker) {
  shown = here(block, from);
  return openTab(browser, `http://localhost:${server.address().port}/`);
}

const PAGES = {
  [DOCS]: [
    async (page) => {
      await page.waitForSelector('li:has-text("hello")');
      await page.waitForFunction(() => document.getElementById('light').textContent === 'connected');
    },
    (page) => page.waitForFunction(() => document.getElementById('user').textContent === 'ann'),
    (page) => page.waitForFunction(() => document.getElementById('transport').textContent === 'tab'),
    (page) => page.waitForFunction(() => document.getElementById('number').textContent === '9007199254740993'),
  ],
  [PACKAGE]: [async (page) => {
    // The page may have printed its own message already: another one like it is printed, too.
    const printed = page.waitForEvent('console', { predicate: (message) => message.text() === 'Hello from the browser' });
    await page.waitForFunction(async (url) => (await (await fetch(url)).json()).messages.length === 1, broker.topic('docs.readme'));
    await broker.publish('docs.readme', 'Hello from the browser');
    await printed;
  }],
  [README]: [
    async (page) => {
      await page.waitForSelector('li:has-text("Hello from the browser")');
      await broker.publish('chat.lobby', 'Hello from elsewhere');
      await page.waitForSelector('li:has-text("Hello from elsewhere")');
    },
    async (page) => {
      await page.waitForSelector('li:has-text("Hello")');
      await page.waitForFunction(() => document.getElementById('status').textContent === 'connected');
      await broker.publish('chat.lobby', 'Said by others');
      await page.waitForSelector('li:has-text("Said by others")');
    },
  ],
};

for (const [path, checks] of Object.entries(PAGES)) {
  test(`the pages of ${path} work when they are pasted alone`, async () => {
    const shownBlocks = blocks(path, 'html');
    assert.equal(shownBlocks.length, checks.length, 'every page has its check');
    for (const [index, block] of shownBlocks.entries()) {
      const guarded = block.includes('/token') ? await startBroker({ FANWIRE_AUTH_SECRET: SECRET }) : broker;
      const page = await openShown(block, guarded);
      await checks[index](page);
      assert.deepEqual(page.complaints, [], `page ${index} of ${path}`);
      await page.close();
      if (guarded !== broker) await guarded.stop();
    }
  });
}

const PRINTED = { [DOCS]: ['docs.orders.17 99.5\n', '2\n3\n'], [PACKAGE]: ['Hello from Node\n'], [README]: [] };

for (const [path, expected] of Object.entries(PRINTED)) {
  test(`the programs of ${path} print what they say`, async () => {
    const shownBlocks = blocks(path, 'js');
    assert.equal(shownBlocks.length, expected.length, 'every program has what it prints');
    const folder = mkdtempSync(join(tmpdir(), 'fanwire-docs-'));
    mkdirSync(join(folder, 'node_modules'));
    symlinkSync(fileURLToPath(new URL('../../client-sdk/js', import.meta.url)), join(folder, 'node_modules/fanwire'));
    for (const [index, block] of shownBlocks.entries()) {
      writeFileSync(join(folder, `${index}.mjs`), here(block));
      const { stdout, stderr } = await promisify(execFile)(process.execPath, [join(folder, `${index}.mjs`)], { timeout: 20_000 });
      assert.deepEqual([stdout, stderr.replace(/^.*(ExperimentalWarning|trace-warnings).*\n/gm, '')], [expected[index], '']);
    }
    rmSync(folder, { recursive: true });
  });
}
