// The site of docs/php.md (examples/php/site) in a real browser: two visitors enter, see each other, and talk.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { startBroker } from './broker.js';
import { openTab, PATIENCE_MS, startBrowser } from './browser.js';

const FOLDER = fileURLToPath(new URL('../../examples/php/site', import.meta.url));
const AUTH_SECRET = 'a secret of this test, of 32 bytes and more';
const HOOKS_SECRET = 'hooks of this test';
// An API key and its hash, made by `fanwire token key`; good for brokers of tests only.
const KEY = 'fwk_KJ4wEzaWao9UIwm-dD3DMVBEuPDrt8KDtxe36mfdA_Q';
const KEY_TABLE = '[[key]]\nname = "site"\nhash = "sha256:-LY072s8SA1dJ-VeEHtDKnT1Xh2q2mhOFP6GoV5QKVQ"\npublish = [">"]\nsubscribe = [">"]\nadmin = true\n';

let broker;
let site;
let browser;
const folder = mkdtempSync(join(tmpdir(), 'fanwire-site-'));

/** Returns a free port: the site and the broker need each other's address before they start. */
function freePort() {
  return new Promise((resolve) => {
    const server = net.createServer().listen(0, '127.0.0.1', () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });
}

/** Starts the site in a process group of its own, because `php -S` leaves its workers behind. */
function startSite(port, env) {
  const php = spawn('php', ['-S', `127.0.0.1:${port}`, '-t', FOLDER], {
    env: { ...process.env, ...env, PHP_CLI_SERVER_WORKERS: '4' }, detached: true, stdio: ['ignore', 'ignore', 'pipe'],
  });
  return new Promise((resolve, reject) => {
    let said = '';
    const timer = setTimeout(() => reject(new Error(`php does not start: ${said}`)), PATIENCE_MS);
    php.stderr.on('data', (chunk) => {
      said += chunk;
      if (!said.includes('started')) return;
      clearTimeout(timer);
      resolve({ url: `http://127.0.0.1:${port}`, stop: () => process.kill(-php.pid, 'SIGKILL') });
    });
  });
}

before(async () => {
  const port = await freePort();
  const configuration = readFileSync(`${FOLDER}/broker.toml`, 'utf8').replace('localhost:8000', `127.0.0.1:${port}`) + KEY_TABLE;
  writeFileSync(join(folder, 'broker.toml'), configuration);
  broker = await startBroker({ FANWIRE_AUTH_SECRET: AUTH_SECRET, FANWIRE_HOOKS_SECRET: HOOKS_SECRET }, ['--config', join(folder, 'broker.toml')]);
  site = await startSite(port, {
    BROKER_URL: broker.url, BROKER_PUBLIC_URL: broker.url, BROKER_KEY: KEY, BROKER_SECRET: AUTH_SECRET, HOOKS_SECRET,
  });
  browser = await startBrowser();
});
after(async () => {
  await browser?.close();
  site?.stop();
  await broker?.stop();
  rmSync(folder, { recursive: true });
});

/** Opens the site in a browser profile of its own, enters a name, and waits until the page is connected. */
async function enter(name) {
  const page = await openTab(await browser.newContext(), site.url);
  await page.fill('input[name=name]', name);
  await page.click('button');
  await page.getByText('connected', { exact: true }).waitFor();
  return page;
}

test('two visitors see each other and exchange messages, published by the site or by the page', async () => {
  const ann = await enter('Ann');
  await ann.getByText('Here: Ann').waitFor();
  const bob = await enter('Bob <b>');
  await ann.getByText('Here: Ann, Bob <b>').waitFor();
  await ann.fill('input[name=text]', 'Hello <i>there</i>');
  await ann.click('button');
  await bob.getByText('Ann: Hello <i>there</i>').waitFor();
  assert.equal(await ann.inputValue('input[name=text]'), '');
  await bob.evaluate(() => broker.publish('room.lobby', { name: 'Ann', text: 'it is not me' }));
  await ann.getByText('Bob <b>: it is not me').waitFor();
  assert.match((await bob.evaluate(() => broker.request('time', null))).time, /^\d\d:\d\d$/);

  const late = await enter('Kim');
  await late.getByText('Ann: Hello <i>there</i>').waitFor();
  await bob.close();
  await ann.getByText('Here: Ann, Kim').waitFor();
  assert.deepEqual([...ann.complaints, ...late.complaints], []);
});

test('a visitor that a callout refuses sees the reason', async () => {
  const page = await openTab(await browser.newContext(), site.url);
  await page.fill('input[name=name]', 'Mallory');
  await page.click('button');
  await page.waitForFunction(() => document.getElementById('status').textContent.includes('You have been asked to leave'));
});
