// Lost connections: the pages come back, and everything published meanwhile is shown once and in order; where that cannot
// be had, they say so.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { startBroker } from './broker.js';
import { CHAT, CHAT_SSE, connected, openChat, openTab, PATIENCE_MS, shows, startBrowser, texts } from './browser.js';
import { startProxy } from './proxy.js';

// The default rule keeps 100 publications of a topic, so the publisher never runs further ahead of the page than this.
const AHEAD_MAX = 60;
const TOTAL = 400;
const CUT_EVERY = 70;

let browser;
before(async () => { browser = await startBrowser(); });
after(async () => { await browser?.close(); });

/**
 * Publishes the numbers 1 to TOTAL without pause while `proxy` cuts the page's connections every CUT_EVERY numbers,
 * every second time in the middle of what is being sent. `count` says how many the page has seen.
 */
async function publishThroughCuts(broker, proxy, topic, page, count) {
  for (let number = 1; number <= TOTAL; number++) {
    await broker.publish(topic, { name: 'clock', text: String(number) });
    if (number % (2 * CUT_EVERY) === 0) proxy.cutInTheMiddle();
    else if (number % CUT_EVERY === 0) proxy.cut();
    const atLeast = number === TOTAL ? TOTAL : number - AHEAD_MAX;
    if (atLeast > 0) await page.waitForFunction(count, atLeast, { timeout: PATIENCE_MS }).catch(() => { /* The caller compares. */ });
  }
}

const numbers = Array.from({ length: TOTAL }, (_, index) => String(index + 1));

for (const path of [CHAT, CHAT_SSE]) {
  for (const latencyMs of [0, 20]) {
    test(`${path} loses and doubles nothing when its connections are cut (${latencyMs} ms away)`, async () => {
      const broker = await startBroker();
      const proxy = await startProxy(broker.port, latencyMs);
      try {
        const page = await openChat(browser, proxy.url, path, 'chat.cut');
        await publishThroughCuts(broker, proxy, 'chat.cut', page, (count) => document.querySelectorAll('#messages li').length >= count);
        assert.deepEqual(await texts(page), numbers);
        assert.equal(await page.locator('.notice').count(), 0, 'nothing was missing, and the page does not say so');
        await connected(page);
        await page.close();
      } finally {
        await proxy.stop();
        await broker.stop();
      }
    });
  }

  test(`${path} says that something may be missing when the broker has forgotten it`, async () => {
    const first = await startBroker();
    const proxy = await startProxy(first.port);
    try {
      const page = await openChat(browser, proxy.url, path, 'chat.restart');
      await first.publish('chat.restart', 'before');
      await shows(page, ['before']);
      proxy.refusing = true;
      await first.stop();
      await page.waitForSelector('#status:not(.open)');

      const second = await startBroker();
      try {
        await second.publish('chat.restart', 'while away');
        proxy.port = second.port;
        proxy.refusing = false;
        await shows(page, ['before', 'while away']);
        const all = await page.$$eval('#messages li', (items) => items.map((item) => item.className));
        assert.deepEqual(all, ['', 'notice', ''], 'the notice stands where the gap is');
        await connected(page);
        await second.publish('chat.restart', 'after');
        await shows(page, ['before', 'while away', 'after']);
        await page.close();
      } finally {
        proxy.cut();
        await second.stop();
      }
    } finally {
      await proxy.stop();
    }
  });
}

test('a plain EventSource loses and doubles nothing when its connection is cut', async () => {
  const broker = await startBroker();
  const proxy = await startProxy(broker.port);
  try {
    const page = await openTab(browser, proxy.url);
    await page.evaluate(() => new Promise((resolve, reject) => {
      window.seen = [];
      const source = new EventSource('/topics/clock.plain');
      source.onopen = resolve;
      source.onerror = () => reject(new Error('the stream was refused'));  // Says nothing once it has been open.
      source.onmessage = (event) => window.seen.push(JSON.parse(event.data).text);
      source.addEventListener('gap', () => window.seen.push('gap'));
    }));
    await publishThroughCuts(broker, proxy, 'clock.plain', page, (count) => window.seen.length >= count);
    assert.deepEqual(await page.evaluate(() => window.seen), numbers);
    await page.close();
  } finally {
    await proxy.stop();
    await broker.stop();
  }
});

test('a plain EventSource that is cut before its first message still misses nothing', async () => {
  const broker = await startBroker();
  const proxy = await startProxy(broker.port);
  try {
    const page = await openTab(browser, proxy.url);
    await page.evaluate(() => new Promise((resolve, reject) => {
      window.seen = [];
      const source = new EventSource('/topics/clock.first');
      source.onopen = resolve;
      source.onerror = () => reject(new Error('the stream was refused'));
      source.onmessage = (event) => window.seen.push(event.data);
    }));
    proxy.refusing = true;
    proxy.cut();
    await broker.publish('clock.first', 'while away');
    proxy.refusing = false;
    await page.waitForFunction(() => window.seen.length > 0).catch(() => { /* compared below */ });
    assert.deepEqual(await page.evaluate(() => window.seen), ['while away']);
    await page.close();
  } finally {
    await proxy.stop();
    await broker.stop();
  }
});

test('a plain EventSource over two topics comes back to where it was in each', async () => {
  const broker = await startBroker();
  const proxy = await startProxy(broker.port);
  try {
    const page = await openTab(browser, proxy.url);
    await page.evaluate(() => new Promise((resolve, reject) => {
      window.seen = [];
      const source = new EventSource('/stream?topic=many.a&topic=many.b');
      source.onopen = resolve;
      source.onerror = () => reject(new Error('the stream was refused'));  // Says nothing once it has been open.
      source.onmessage = (event) => window.seen.push(event.data);
      source.addEventListener('gap', () => window.seen.push('gap'));
    }));
    const published = [];
    const publish = async (topic, text) => {
      await broker.publish(topic, text);
      published.push(text);
    };
    const caughtUp = () => page.waitForFunction((count) => window.seen.length >= count, published.length).catch(() => { /* compared below */ });
    await publish('many.a', 'a1');
    await publish('many.b', 'b1');
    await caughtUp();
    proxy.refusing = true;
    proxy.cut();
    await publish('many.a', 'a2');
    await publish('many.b', 'b2');
    await publish('many.a', 'a3');
    proxy.refusing = false;
    await caughtUp();
    await publish('many.b', 'b3');
    await caughtUp();
    const seen = await page.evaluate(() => window.seen);
    for (const letter of ['a', 'b']) {
      const of = (list) => list.filter((text) => text.startsWith(letter));
      assert.deepEqual(of(seen), of(published), 'each topic keeps its order; between topics there is none');
    }
    assert.equal(seen.length, published.length);
    await page.close();
  } finally {
    await proxy.stop();
    await broker.stop();
  }
});
