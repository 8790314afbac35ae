// onOpen, onMessage and onClose of examples/php/hook.php under a real php, when a real browser comes, speaks and goes.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { startBroker } from './broker.js';
import { PATIENCE_MS, openTab, startBrowser } from './browser.js';

const HOOK = fileURLToPath(new URL('../../examples/php/hook.php', import.meta.url));
const SECRET = 'a secret of this browser test';

let php;
let printed = '';
let broker;
let browser;

/** Waits until php has printed something that matches, and returns the match. */
async function logged(pattern) {
  const end = Date.now() + PATIENCE_MS;
  for (;;) {
    const found = pattern.exec(printed);
    if (found) return found;
    const left = end - Date.now();
    assert.ok(left > 0, `php never printed ${pattern}, but:\n${printed}`);
    // Whatever is printed next wakes this up; the timer is for nothing being printed at all.
    await new Promise((resolve) => {
      const timer = setTimeout(resolve, left);
      php.stderr.once('data', () => {
        clearTimeout(timer);
        resolve();
      });
    });
  }
}

before(async () => {
  php = spawn('php', ['-S', '127.0.0.1:0', HOOK], {
    env: { ...process.env, FANWIRE_HOOKS_SECRET: SECRET }, stdio: ['ignore', 'ignore', 'pipe'],
  });
  php.stderr.on('data', (chunk) => { printed += chunk; });
  const [, url] = await logged(/(http:\/\/127\.0\.0\.1:\d+)/);
  broker = await startBroker({
    FANWIRE_HOOKS_URL: `${url}/`,
    FANWIRE_HOOKS_SECRET: SECRET,
    FANWIRE_HOOKS_CALLOUTS: 'connect,publish',
    FANWIRE_WEBHOOKS_EVENTS: 'disconnect',
  });
  browser = await startBrowser();
});

after(async () => {
  await browser?.close();
  await broker?.stop();
  php?.kill();
});

/** Opens a page with a bare WebSocket, which says something and hears it. */
async function visit() {
  const page = await openTab(browser, `${broker.url}/`);
  const heard = await page.evaluate((url) => new Promise((resolve, reject) => {
    window.socket = new WebSocket(url);
    socket.onopen = () => socket.send('   hello   ');
    socket.onmessage = (event) => resolve(event.data);
    socket.onerror = () => reject(new Error('the WebSocket failed'));
  }), `${broker.topic('hooks.room').replace('http', 'ws')}`);
  assert.equal(heard, 'hello', 'onMessage has cleaned it up');
  const [, connection] = await logged(/open: ([0-9a-f]+) over bare/);
  printed = printed.replace(`open: ${connection} over bare`, '');
  return { page, connection };
}

test('onClose is called when a page closes its WebSocket', async () => {
  const { page, connection } = await visit();
  await page.evaluate(() => socket.close(4321, 'that is all'));
  await logged(new RegExp(`close: ${connection} over bare, code 4321`));
  assert.deepEqual(page.complaints, []);
  await page.close();
});

test('onClose is called when the visitor goes to another page', async () => {
  const { page, connection } = await visit();
  await page.goto('about:blank');
  await logged(new RegExp(`close: ${connection} over bare, code 100[156]`));
  await page.close();
});

test('onClose is called when the window is closed', async () => {
  const { page, connection } = await visit();
  await page.close();
  await logged(new RegExp(`close: ${connection} over bare, code 100[156]`));
});

test('onClose is called when the browser dies', async () => {
  const other = browser;
  browser = await startBrowser();
  const { connection } = await visit();
  await browser.close();
  browser = other;
  await logged(new RegExp(`close: ${connection} over bare, code 100[156]`));
});
