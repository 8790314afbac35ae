// The console in a real browser over the real binary: every page and its actions.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { startBroker } from './broker.js';
import { openTab, startBrowser } from './browser.js';


let broker;
let browser;
before(async () => {
  broker = await startBroker({ FANWIRE_LIMITS_BATCH_MESSAGES_MAX: '10000' });
  browser = await startBrowser();
});
after(async () => {
  await browser?.close();
  await broker?.stop();
});

/** Opens a view of the console in a tab of its own and waits for its heading. */
async function openConsole(hash = '', url = broker.url) {
  const page = await openTab(browser, `${url}/console${hash}`);
  await page.waitForSelector('main h1');
  return page;
}

/** Closes a tab. Its console must have no errors. */
async function done(page) {
  assert.deepEqual(page.complaints, []);
  await page.close();
}

/** Publishes to `count` topics that begin with `prefix`, in as few calls as the broker permits. */
async function publishTopics(prefix, count) {
  for (let begin = 0; begin < count; begin += 10_000) {
    const messages = Array.from({ length: Math.min(10_000, count - begin) }, (_, index) => ({ topic: `${prefix}.${String(begin + index).padStart(6, '0')}`, data: index }));
    const response = await fetch(`${broker.url}/publish`, { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify({ messages }) });
    assert.equal(response.status, 200);
    await response.arrayBuffer();
  }
}

/** A session in a page of its own, subscribed to `topic`; the close code it ends with is in `window.code`. */
async function openSession(topic) {
  const page = await openTab(browser, broker.url);
  await page.evaluate((topic) => new Promise((resolve) => {
    const socket = new WebSocket(`${location.origin.replace('http', 'ws')}/ws`, 'fanwire.v1.json');
    const send = (frame) => socket.send(JSON.stringify(frame));
    socket.onopen = () => { send({ type: 'connect', id: 1, name: 'tester' }); send({ type: 'subscribe', id: 2, topic }); };
    window.received = [];
    socket.onmessage = ({ data }) => {
      const frame = JSON.parse(data);
      window.received.push(frame);
      if (frame.type === 'connected') window.connection = frame.connection;
      if (frame.type === 'subscribed') resolve();
    };
    socket.onclose = ({ code }) => { window.code = code; };
  }), topic);
  return page;
}

const textOf = (page, selector) => page.$eval(selector, (element) => element.textContent);
const shows = (page, text, selector = 'main') => page.waitForFunction(
  ([selector, text]) => [...document.querySelectorAll(selector)].some((element) => element.textContent.includes(text)), [selector, text]);

test('the overview shows numbers, charts, and errors by reason', async () => {
  const page = await openConsole();
  assert.equal(await page.title(), 'Overview · fanwire console');
  await broker.publish('overview.topic', 'hello');
  assert.equal((await fetch(`${broker.url}/topics/bad..name`)).status, 400);
  await shows(page, 'bad topic', 'tbody th');
  await page.waitForFunction(() => document.querySelectorAll('.plot canvas').length === 6);
  await page.waitForFunction(() => /[1-9]/.test(document.querySelector('.tile .note').textContent));
  const drawn = await page.$eval('.plot canvas', (canvas) => canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data.some((byte) => byte !== 0));
  assert.ok(drawn, 'the chart is empty');
  const links = await page.$$eval('.cards a, footer a', (anchors) => anchors.map((anchor) => anchor.href));
  assert.ok(links.length >= 8, links.join());
  for (const link of links) assert.equal((await fetch(link)).status, 200, link);
  await done(page);
});

test('topics are searched, sorted, paged and opened', async () => {
  await publishTopics('list', 250);
  for (let more = 0; more < 3; more += 1) await broker.publish('list.000123', 'again');
  const page = await openConsole('#/topics?search=LIST.0');
  await shows(page, '1–100 of 250 found');
  assert.equal(await textOf(page, 'tbody th a'), 'list.000000');
  await page.click('text=Next');
  await shows(page, '101–200 of');
  assert.equal(await textOf(page, 'tbody th a'), 'list.000100');
  await page.click('text=Previous');
  await shows(page, '1–100 of');
  await page.click('th button:has-text("Messages held")');
  await page.waitForFunction(() => document.querySelector('tbody th a')?.textContent === 'list.000123');
  assert.equal(await page.$eval('th[aria-sort]', (heading) => heading.getAttribute('aria-sort')), 'descending');
  assert.match(page.url(), /search=LIST\.0.*sort=messages.*order=desc/, 'the view can be linked to');
  await page.fill('#search', 'no such topic');
  await shows(page, 'No topic contains this text.');
  await page.fill('#search', '000123');
  await page.click('a:text-is("list.000123")');
  await page.waitForFunction(() => document.querySelector('h1').textContent === 'list.000123' && document.activeElement === document.querySelector('h1'));
  await done(page);
});

test('a topic shows its history and live messages, publishes, and is cleared after a confirmation', async () => {
  await broker.publish('tail.room', { from: 'before' });
  const listener = await openSession('tail.*');
  const page = await openConsole('#/topics/tail.room');
  await shows(page, '{"from":"before"}', '.messages li');
  await broker.publish('tail.room', Buffer.from([1, 2, 255]));
  await shows(page, '3 bytes: 01 02 ff', '.messages li');
  await page.fill('#payload', '<b>bold</b>');
  await page.click('button:text-is("Publish")');
  await shows(page, 'Published at', '.done');
  await shows(page, '<b>bold</b>', '.messages li');
  assert.equal(await page.$('.messages b'), null, 'a payload is text and nothing else');
  await page.check('input[value=json]');
  await page.fill('#payload', '{"n": 1');
  await page.press('#payload', 'Control+Enter');
  await shows(page, 'This is not JSON', '[role=alert]');
  await page.fill('#payload', '{"n": 1}');
  await page.press('#payload', 'Control+Enter');
  await shows(page, '{"n":1}', '.messages li');
  await shows(page, 'of them by patterns', '.facts');
  await page.click('button:text-is("Pause")');
  await broker.publish('tail.room', 'while paused');
  await shows(page, '5 seen');
  assert.ok(!(await textOf(page, '.messages')).includes('while paused'));
  await page.click('button:text-is("Resume")');
  await shows(page, 'while paused', '.messages li');
  await page.click('text=Clear history …');
  await page.press('dialog[open]', 'Escape');
  assert.equal((await (await fetch(broker.topic('tail.room'))).json()).messages.length, 5, 'nothing happens before the confirmation');
  await page.click('text=Clear history …');
  await page.click('dialog button:text-is("Clear")');
  await shows(page, 'The history is cleared.', '.done');
  assert.deepEqual((await (await fetch(broker.topic('tail.room'))).json()).messages, []);
  await listener.close();
  await done(page);
});

test('the console is no participant of the topic that it shows', async () => {
  const topic = 'examples.watched';  // Its default rule has presence.
  const member = await openSession(topic);
  const page = await openConsole(`#/topics/${topic}`);
  await page.waitForFunction(() => document.querySelector('.state')?.textContent === 'live');
  // The message after it shows that the console's own events, if there were any, have been sent.
  await broker.publish(topic, 'seen by both');
  await shows(page, 'seen by both', '.messages li');
  await member.waitForFunction(() => window.received.some((frame) => frame.data === 'seen by both'));
  const others = await member.evaluate(() => window.received.filter(({ type, connection }) => /^(join|leave)$/.test(type) && connection !== window.connection));
  assert.deepEqual(others, [], 'join or leave of another session');
  const { members } = await (await fetch(`${broker.topic(topic)}/presence`)).json();
  assert.equal(members.length, 1);
  const details = await (await fetch(`${broker.url}/api/v1/topics/${topic}`)).json();
  assert.deepEqual([details.subscribers, details.members], [1, 1]);
  await member.close();
  await done(page);
});

test('sessions are found, shown with their subscriptions, and disconnected after a confirmation', async () => {
  const [first, second] = [await openSession('sessions.a'), await openSession('sessions.b')];
  const connection = await first.evaluate(() => window.connection);
  const page = await openConsole('#/sessions?topic=sessions.a');
  await page.waitForFunction(() => document.querySelectorAll('tbody tr').length === 1);
  assert.equal(await textOf(page, 'tbody th'), connection);
  assert.match(await textOf(page, 'tbody tr'), /WebSocket.*127\.0\.0\.1/);
  await page.selectOption('#transport', 'sse');
  await shows(page, 'No session on this page matches.');
  await page.selectOption('#transport', 'ws');
  await page.click(`button[aria-label="Disconnect session ${connection}"]`);
  await page.click('dialog button:text-is("Cancel")');
  assert.equal(await first.evaluate(() => window.code), undefined);
  await page.click('tbody th a');
  await shows(page, 'sessions.a', '.topics li');
  await shows(page, 'tester', '.facts');
  await page.click('main button:has-text("Disconnect")');
  await page.click('dialog button:text-is("Disconnect")');
  await shows(page, 'The session is disconnected.', '.done');
  await first.waitForFunction(() => window.code === 4440);
  await shows(page, 'This session has ended.');
  assert.equal(await second.evaluate(() => window.code), undefined, 'the other one stays');
  await first.close();
  await second.close();
  page.complaints = page.complaints.filter((complaint) => !complaint.includes('404'));  // The request for the ended session is answered 404.
  await done(page);
});

test('a hundred thousand topics do not slow the page', async () => {
  await publishTopics('many', 100_000);
  const page = await openConsole();
  await page.evaluate(() => {
    window.longest = 0;
    new PerformanceObserver((list) => { for (const { duration } of list.getEntries()) window.longest = Math.max(window.longest, duration); }).observe({ type: 'longtask' });
    location.hash = '#/topics?sort=newest&order=desc';
  });
  await page.waitForFunction(() => /of 100,\d\d\d/.test(document.querySelector('.pager')?.textContent ?? ''));
  await page.click('text=Next');
  await shows(page, '101–200 of');
  await page.fill('#search', 'many.0999');
  await shows(page, '1–100 of 100 found in 100,');
  assert.ok(await page.$$eval('*', (all) => all.length) < 3000, 'only a page of them is in the document');
  const longest = await page.evaluate(() => window.longest);
  assert.ok(longest < 500, `the page was busy for ${longest} ms`);
  await done(page);
});
