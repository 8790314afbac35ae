// The example pages in several windows, over the real broker.
import assert from 'node:assert/strict';
import { after, afterEach, before, beforeEach, test } from 'node:test';
import { startBroker } from './broker.js';
import { openTab, startBrowser } from './browser.js';

let broker;
let browser;
let pages;
before(async () => {
  broker = await startBroker();
  browser = await startBrowser();
});
after(async () => {
  await browser?.close();
  await broker?.stop();
});
beforeEach(() => { pages = []; });
afterEach(async () => {
  for (const page of pages) {
    assert.deepEqual(page.complaints, []);
    await page.close();
  }
});

/** Opens an example in a window with a storage of its own, and waits until it is connected. */
async function open(path) {
  const page = await openTab(browser, `${broker.url}/examples/${path}`);
  pages.push(page);
  await page.waitForFunction(() => broker.status.state === 'connected');
  return page;
}

/** Waits until `selector` shows exactly `text`. */
function shows(page, selector, text) {
  return page.waitForFunction(([selector, text]) => document.querySelector(selector)?.textContent === text, [selector, text]);
}

/** Returns the texts of all elements that match, once there are `count`. */
async function texts(page, selector, count) {
  await page.waitForFunction(([selector, count]) => document.querySelectorAll(selector).length === count, [selector, count]);
  return page.$$eval(selector, (elements) => elements.map((element) => element.textContent));
}

test('a room shows members, typing, messages, and members that leave', async () => {
  const ada = await open('room.html?room=a');
  await ada.fill('#name', 'Ada');
  await ada.press('#name', 'Tab');
  await shows(ada, '#members li', 'Ada (you)');
  await ada.fill('#text', 'hello');
  await ada.press('#text', 'Enter');
  const bob = await open('room.html?room=a');
  assert.deepEqual(await texts(bob, '#messages li', 1), ['Adahello'], 'who comes later sees what was said');
  await bob.fill('#name', 'Bob');
  await bob.press('#name', 'Tab');
  for (const [page, names] of [[ada, ['Ada (you)', 'Bob']], [bob, ['Ada', 'Bob (you)']]]) {
    await page.waitForFunction((names) => JSON.stringify([...document.querySelectorAll('#members li')].map((item) => item.textContent).sort()) === JSON.stringify(names), names);
  }
  await bob.fill('#text', 'h');
  await shows(ada, '#typing', 'Bob is typing …');
  await bob.fill('#text', '<b>hi</b>');
  await bob.press('#text', 'Enter');
  assert.deepEqual(await texts(ada, '#messages li', 2), ['Adahello', 'Bob<b>hi</b>'], 'what others write is text');
  await shows(ada, '#typing', '');
  await bob.goto('about:blank');
  assert.deepEqual(await texts(ada, '#members li', 1), ['Ada (you)']);
});

test('no payload breaks the page of a room or a board', async () => {
  const room = await open('room.html?room=rubbish');
  const board = await open('board.html?board=rubbish');
  const rubbish = [null, 7, 'text', [], { text: 7 }, { connection: 1 }, { color: 'red', places: [[9, 9]] }, { connection: 'a', name: 'b', place: 'c' }, Buffer.from([0])];
  for (const payload of rubbish) {
    for (const topic of ['rooms.rubbish', 'rooms.rubbish.signals', 'boards.rubbish.lines', 'boards.rubbish.pointers']) await broker.publish(`examples.${topic}`, payload);
  }
  await broker.publish('examples.rooms.rubbish', { name: 'Ada', text: 'still here' });
  await room.waitForFunction(() => document.querySelector('#messages li:last-child')?.textContent === 'Adastill here');
  assert.equal((await texts(room, '#messages li', rubbish.length + 1)).length, rubbish.length + 1);
  await broker.publish('examples.boards.rubbish.lines', { color: 'hsl(7 70% 45%)', places: [[0, 0], [1, 1]] });
  await texts(board, '#strokes polyline', 1);
  await texts(board, '#cursors g', 0);
});

test('notifications reach only their user, are counted, and come again on the next visit until they are seen', async () => {
  const ada = await open('notifications.html?user=ada');
  const bob = await open('notifications.html?user=bob');
  await bob.fill('#to', 'ada');
  await bob.fill('#text', 'one');
  await bob.click('#form button');
  await shows(ada, '#count', '1');
  assert.equal(await ada.title(), '(1) Notifications · fanwire');
  await ada.click('#seen');
  await shows(ada, '#count', '0');
  await broker.publish('examples.users.ada.notifications', { text: 'two' });
  await shows(ada, '#count', '1');
  await ada.reload();
  assert.match((await texts(ada, '#list li', 1))[0], /^two /, 'what was seen does not come again, the other does');
  assert.equal(await bob.textContent('#count'), '0');
  const command = await bob.textContent('#command');
  assert.equal(command, `curl -H 'Content-Type: application/json' -d '{"text":"one"}' \\\n  ${broker.url}/topics/examples.users.ada.notifications`);
});

test('a chart receives fifty values per second without loss, and a page opened later the last ones', async () => {
  const sensor = await open('chart.html?chart=c');
  await sensor.click('#sensor');
  await sensor.waitForFunction(() => points.length >= 150);
  const late = await open('chart.html?chart=c');
  await late.waitForFunction(() => points.length >= 150);
  const { span, count } = await late.evaluate(() => ({ span: points.at(-1).at - points[0].at, count: points.length }));
  assert.equal(span / 20, count - 1, 'one value for every 20 ms');
  for (const page of [sensor, late]) assert.equal(await page.textContent('#missed'), '0');
  assert.ok(await late.evaluate(() => {
    const { width, height } = document.querySelector('#chart');
    return document.querySelector('#chart').getContext('2d').getImageData(0, 0, width, height).data.some((part) => part !== 0);
  }), 'something is drawn');
  await sensor.click('#sensor');
});

test('a board shows the pointers of other pages, and a page opened later the lines', async () => {
  const one = await open('board.html?board=b');
  const two = await open('board.html?board=b');
  const { x, y, width, height } = await one.locator('#board').boundingBox();
  await one.mouse.move(x + width / 4, y + height / 2);
  await two.waitForFunction(() => document.querySelector('#cursors g')?.getAttribute('transform'));
  const [left, top] = await two.evaluate(() => [...cursors.values()][0].place);
  assert.ok(Math.abs(left - .25) < .01 && Math.abs(top - .5) < .01, `${left} ${top}`);
  await one.mouse.down();
  await one.mouse.move(x + width / 2, y + height / 4, { steps: 5 });
  await one.mouse.up();
  await texts(two, '#strokes polyline', 1);
  await two.focus('#board');
  for (const key of ['Space', 'ArrowRight', 'ArrowDown', 'Space']) await two.keyboard.press(key);
  await texts(one, '#strokes polyline', 2);
  const late = await open('board.html?board=b');
  await texts(late, '#strokes polyline', 2);
  await one.goto('about:blank');
  await two.waitForFunction(() => document.querySelectorAll('#cursors g').length === 0);
});
