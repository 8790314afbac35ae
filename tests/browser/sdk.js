// Opens pages that load the JavaScript client with a script tag from the broker. It owns the page's side of a test.
import { openTab } from './browser.js';

/**
 * Opens a tab on the broker (or a proxy before it) at `base` with the client loaded. In the page, `watch(topic, options)` subscribes
 * and keeps what arrives in `seen` (messages as their data, losses as 'lost').
 */
export async function openClient(browser, base, options = {}) {
  const page = await openTab(browser, `${base}/`);
  await prepare(page, '/fanwire.js');
  await page.evaluate((options) => {
    window.broker = fanwire.connect('', options);
    window.states = [];
    broker.on('status', ({ state, transport }) => states.push(transport ?? state));
  }, options);
  return page;
}

/** Loads the client from `script` and defines what tests use in the page. */
export async function prepare(page, script) {
  await page.addScriptTag({ url: script });
  await page.evaluate(() => {
    window.seen = [];
    window.positions = [];
    window.watch = (topic, options = {}) => broker.subscribe(topic, (message) => {
      seen.push(message.data);
      positions.push(`${message.position?.epoch}:${message.position?.offset}`);
    }, { ...options, onLost: () => seen.push('lost') });
  });
}

/** Waits until the page has seen `count` messages or losses, and returns all. */
export async function seenAtLeast(page, count) {
  await page.waitForFunction((count) => seen.length >= count, count, { polling: 20 }).catch(() => { /* The caller compares. */ });
  return page.evaluate(() => seen);
}

/** Waits until the client is connected, and returns the transport. */
export async function transportOf(page) {
  await page.waitForFunction(() => broker.status.state === 'connected', undefined, { polling: 20 });
  return page.evaluate(() => broker.status.transport);
}
