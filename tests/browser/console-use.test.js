// The use of the console: sign-in, loaded files, keyboard, both themes, a narrow screen, and axe-core.
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { startBroker } from './broker.js';
import { openTab, PATIENCE_MS, startBrowser } from './browser.js';

const axe = readFileSync(new URL('node_modules/axe-core/axe.min.js', import.meta.url), 'utf8');

/** An admin key, and its hash as the configuration has it. */
const KEY = 'fwk_YWRtaW4tYWRtaW4tYWRtaW4tYWRtaW4tYWRtaW4tYWRt';
const HASH = 'sha256:lJZqVN6QLtsOvKUiIkiQgTeP6TtzzDEK3FpW1SUsShM';
/** An API key without `admin = true`, and its hash. */
const READER = 'fwk_GI7hQvVik6DoF4K6wyAm9q3Rd09M1Wx7nnYAVf9ghPM';
const READER_HASH = 'sha256:l39DhNziCnExKoBVc3f54bH0-A8CzWU6LutzE-TMyvU';

let open;
let guarded;
let browser;
let folder;
before(async () => {
  folder = mkdtempSync(join(tmpdir(), 'fanwire-console-'));
  const file = join(folder, 'fanwire.toml');
  writeFileSync(file, `[auth]\nsecret = 'a secret of these tests, long enough'\n[[key]]\nname = 'operator'\nhash = '${HASH}'\nadmin = true\npublish = ['>']\nsubscribe = ['>']\n[[key]]\nname = 'reader'\nhash = '${READER_HASH}'\nsubscribe = ['>']\n`);
  [open, guarded, browser] = await Promise.all([startBroker(), startBroker({}, ['--config', file]), startBrowser()]);
  for (let number = 0; number < 30; number += 1) await open.publish(`pages.${number}`, { number });
});
after(async () => {
  await browser?.close();
  await open?.stop();
  await guarded?.stop();
  rmSync(folder, { recursive: true });
});

const PAGES = ['', '#/topics', '#/topics/pages.1', '#/sessions', '#/sessions/SESSION', '#/nothing'];

/** Returns the addresses of all pages, with one of a session. */
async function pages() {
  const listener = await openTab(browser, open.url);
  await listener.evaluate(() => new Promise((resolve) => { new EventSource('/topics/pages.1').onopen = resolve; }));
  const { sessions: [session] } = await (await fetch(`${open.url}/api/v1/sessions`)).json();
  return { listener, hashes: PAGES.map((hash) => hash.replace('SESSION', session.connection)) };
}

/** Waits until a page shows what it has to show. */
const settled = (page) => page.waitForFunction(() => document.querySelector('main h1') && !document.querySelector('.loading, .starting'));

async function violations(page) {
  await page.evaluate(axe);
  const { violations: found } = await page.evaluate(() => globalThis.axe.run(document));
  return found.map(({ id, nodes }) => `${id}: ${nodes.map((node) => `${node.html} (${node.failureSummary})`).join('; ')}`);
}

for (const colorScheme of ['light', 'dark']) {
  test(`axe-core finds nothing on any page, ${colorScheme}, and no page is wider than a narrow screen`, async () => {
    const { listener, hashes } = await pages();
    const page = await openTab(browser, `${open.url}/console`);
    await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' });
    for (const hash of hashes) {
      await page.evaluate((hash) => { location.hash = hash || '#/'; }, hash);
      await settled(page);
      for (const width of [1300, 360]) {
        await page.setViewportSize({ width, height: 800 });
        assert.deepEqual(await violations(page), [], `${hash} at ${width}`);
        const overflow = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
        assert.ok(overflow <= 0, `${hash} is ${overflow} px wider than ${width}`);
      }
    }
    await page.evaluate(() => { location.hash = '#/topics/pages.1'; });
    await page.click('text=Clear history …');
    assert.deepEqual(await violations(page), [], 'the question');
    assert.deepEqual(page.complaints, []);
    await page.close();
    await listener.close();
  });
}

test('the form to sign in has no violation either', async () => {
  for (const colorScheme of ['light', 'dark']) {
    const page = await openTab(browser, `${guarded.url}/console`);
    await page.emulateMedia({ colorScheme });
    await page.waitForSelector('form');
    assert.deepEqual(await violations(page), []);
    await page.close();
  }
});

test('with credentials switched on, the admin key opens the console and nothing else does', async () => {
  const page = await openTab(browser, `${guarded.url}/console#/topics`);
  const addresses = [];
  page.on('request', (request) => addresses.push(request.url()));
  page.on('websocket', (socket) => addresses.push(socket.url()));
  await page.waitForSelector('form');
  assert.equal(await page.evaluate(() => document.activeElement.id), 'key');
  for (const [key, words] of [
    ['fwk_wrong', /does not know this admin key.*\[\[key\]\] section/],
    ['a.b', /not an admin key.*begins with fwk_/],
    ['eyJhbGciOiJIUzI1NiJ9.e30.AAAA', /not an admin key/],
    ['fwk_two words', /no spaces/],
    ['„fwk_quoted“', /only ASCII characters/],
    [READER, /knows this API key, but it is not an admin key.*admin = true/],
  ]) {
    await page.fill('#key', key);
    await page.click('button[type=submit]');
    await page.waitForFunction((words) => new RegExp(words).test(document.querySelector('[role=alert]')?.textContent), words.source);
    assert.doesNotMatch(await page.$eval('[role=alert]', (alert) => alert.textContent), /JSON Web Token|base64|connect/);
  }
  assert.deepEqual(await page.evaluate(() => [sessionStorage.length, localStorage.length]), [0, 0]);
  await page.fill('#key', KEY);
  await page.click('button[type=submit]');
  await page.waitForFunction(() => document.querySelector('h1')?.textContent === 'Topics');
  assert.deepEqual(await page.evaluate(() => Object.values(sessionStorage)), [KEY]);
  assert.ok(!(await page.evaluate(() => Object.values(localStorage).join())).includes(KEY));
  await page.evaluate(() => { location.hash = '#/topics/secret.room'; });
  await page.waitForFunction(() => document.querySelector('.state')?.textContent === 'live');
  await page.fill('#payload', 'said with the key');
  await page.click('button:text-is("Publish")');
  await page.waitForFunction(() => document.querySelector('.messages').textContent.includes('said with the key'));
  await page.reload();
  await page.waitForFunction(() => document.querySelector('h1')?.textContent === 'secret.room');
  assert.ok(addresses.length > 5 && !addresses.some((address) => address.includes('fwk_')), addresses.join('\n'));
  // A kept key that is refused later is explained, too.
  await page.evaluate(() => sessionStorage.setItem('fanwire.console.key', 'fwk_removed'));
  await page.reload();
  await page.waitForFunction(() => /does not know this admin key/.test(document.querySelector('[role=alert]')?.textContent));
  await page.fill('#key', KEY);
  await page.click('button[type=submit]');
  await page.click('text=Sign out');
  await page.waitForSelector('#key');
  assert.equal(await page.$('[role=alert]'), null);
  assert.equal(await page.evaluate(() => sessionStorage.length), 0);
  // A browser reports every 401 and 403 by itself; there is nothing else.
  assert.deepEqual(page.complaints.filter((complaint) => !/status of 40[13]/.test(complaint)), []);
  await page.close();
});

test('the page runs nothing but its own script and cannot be shown inside another', async () => {
  const policy = (await fetch(`${open.url}/console`)).headers.get('content-security-policy');
  for (const part of ["default-src 'none'", "script-src 'self'", "style-src 'self'", "connect-src 'self'", "frame-ancestors 'none'"]) {
    assert.ok(policy.split(/;\s*/).includes(part), `${part} in ${policy}`);
  }
  assert.ok(!policy.includes('unsafe'), policy);
  const page = await openTab(browser, `${open.url}/console`);
  await settled(page);
  assert.deepEqual(page.complaints, [], 'nothing of its own is refused');
  const refused = await page.evaluate(() => new Promise((resolve) => {
    addEventListener('securitypolicyviolation', (event) => resolve([event.effectiveDirective, globalThis.hasRun]));
    const script = document.createElement('script');
    script.textContent = 'globalThis.hasRun = true';
    document.body.append(script);
  }));
  assert.deepEqual(refused, ['script-src-elem', undefined].map((value) => value));
  await page.close();
  const response = await fetch(`${open.url}/console/`, { redirect: 'manual' });
  assert.deepEqual([response.status, response.headers.get('location')], [308, '../console']);
});

test('everything is reached by keyboard, and the focus goes where the page goes', async () => {
  const page = await openTab(browser, `${open.url}/console`);
  await settled(page);
  const focused = () => page.evaluate(() => document.activeElement.textContent.trim() || document.activeElement.getAttribute('aria-label'));
  await page.keyboard.press('Tab');
  assert.equal(await focused(), 'Skip to the content');
  await page.keyboard.press('Enter');
  assert.equal(await focused(), 'Overview');
  await page.focus('header a[href="#/topics"]');
  assert.notEqual(await page.$eval('header a[href="#/topics"]', (link) => getComputedStyle(link).outlineStyle), 'none', 'the focus can be seen');
  await page.keyboard.press('Enter');
  await page.waitForFunction(() => document.activeElement.textContent === 'Topics' && document.activeElement.matches('h1'));
  assert.equal(await page.title(), 'Topics · fanwire console');
  await page.evaluate(() => { location.hash = '#/topics/pages.1'; });
  await page.waitForSelector('button:text-is("Clear history …")');
  await page.focus('button:text-is("Clear history …")');
  await page.keyboard.press('Enter');
  await page.waitForSelector('dialog[open]');
  assert.equal(await focused(), 'Cancel', 'what is harmless has the focus');
  await page.keyboard.press('Escape');
  await page.waitForSelector('dialog', { state: 'detached' });
  assert.equal(await focused(), 'Clear history …', 'the focus comes back');
  assert.deepEqual(page.complaints, []);
  await page.close();
});

test('the theme follows the system, or what was chosen, also after a reload', async () => {
  const page = await openTab(browser, `${open.url}/console`);
  await settled(page);
  const background = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  await page.emulateMedia({ colorScheme: 'light' });
  const light = await background();
  await page.emulateMedia({ colorScheme: 'dark' });
  const dark = await background();
  assert.notEqual(light, dark);
  await page.selectOption('header select', 'light');
  assert.equal(await background(), light);
  await page.reload();
  await settled(page);
  assert.equal(await background(), light);
  await page.selectOption('header select', 'system');
  assert.equal(await background(), dark);
  await page.close();
});

test('a hidden page sends no requests', async () => {
  const page = await openTab(browser, `${open.url}/console`);
  await settled(page);
  let requests = 0;
  page.on('request', () => { requests += 1; });
  const hide = (isHidden) => page.evaluate((isHidden) => {
    Object.defineProperty(document, 'hidden', { configurable: true, get: () => isHidden });
    document.dispatchEvent(new Event('visibilitychange'));
  }, isHidden);
  await page.waitForRequest(/stats/);
  await page.waitForResponse(/stats/);
  await hide(true);
  const before = requests;
  // Two intervals of polling: only time shows that no request comes.
  await page.waitForTimeout(4500);
  assert.ok(requests <= before + 1, `${requests - before} requests`);
  const next = page.waitForRequest(/stats/);
  await hide(false);
  await next;
  await page.close();
});

test('a hidden page has no event stream, and resumes without loss when it is shown', async () => {
  const page = await openTab(browser, `${open.url}/console#/topics/hidden.room`);
  const streams = async () => (await (await fetch(`${open.url}/api/v1/stats`)).json()).connections.sse ?? 0;
  const hide = (isHidden) => page.evaluate((isHidden) => {
    Object.defineProperty(document, 'hidden', { configurable: true, get: () => isHidden });
    document.dispatchEvent(new Event('visibilitychange'));
  }, isHidden);
  const shows = (text) => page.waitForFunction((text) => document.querySelector('.messages')?.textContent.includes(text), text);
  await page.waitForFunction(() => document.querySelector('.state')?.textContent === 'live');
  await open.publish('hidden.room', 'before');
  await shows('before');
  const before = await streams();
  await hide(true);
  const deadline = Date.now() + PATIENCE_MS;
  while (await streams() >= before) {
    assert.ok(Date.now() < deadline, 'the hidden page still has its stream');
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  await open.publish('hidden.room', 'while hidden');
  await hide(false);
  await shows('while hidden');
  assert.deepEqual(await page.$$eval('.messages pre', (all) => all.map((element) => element.textContent)), ['while hidden', 'before']);
  assert.ok(!(await page.$eval('.messages', (list) => list.textContent)).includes('missing'));
  assert.deepEqual(page.complaints, []);
  await page.close();
});
