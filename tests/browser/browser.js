// Starts a real headless Chromium and opens the broker's pages in it. It owns the browser and what pages complain about.
import assert from 'node:assert/strict';
import { chromium } from 'playwright-core';

const EXECUTABLE = process.env.CHROMIUM_BIN || '/usr/bin/chromium';
const ARGUMENTS = [
  '--no-sandbox', '--disable-gpu', '--disable-background-networking', '--disable-component-update', '--disable-sync',
  '--no-first-run', '--disable-dev-shm-usage',
];

/** How long a page may take to show what it should, in milliseconds. */
export const PATIENCE_MS = 20_000;

/** Starts Chromium; `more` are further command-line arguments. */
export function startBrowser(...more) {
  return chromium.launch({ executablePath: EXECUTABLE, args: [...ARGUMENTS, ...more] });
}

/** Opens `url` in a tab of its own and keeps every complaint of the page's console in `page.complaints`. */
export async function openTab(browser, url) {
  const page = await browser.newPage();
  page.setDefaultTimeout(PATIENCE_MS);
  page.complaints = [];
  page.on('pageerror', (error) => page.complaints.push(String(error)));
  page.on('console', (message) => {
    if (['error', 'warning'].includes(message.type())) page.complaints.push(message.text());
  });
  await page.goto(url);
  return page;
}

/** The two chat pages: where they are and how long one waits for them to be connected. */
export const CHAT = '/examples/chat.html';
export const CHAT_SSE = '/examples/chat-sse.html';

/** Opens a chat page on `topic` and waits until it is connected. */
export async function openChat(browser, base, path, topic) {
  const page = await openTab(browser, `${base}${path}?topic=${encodeURIComponent(topic)}`);
  await connected(page);
  return page;
}

/** Waits until a chat page says that it is connected. */
export function connected(page) {
  return page.waitForSelector('#status.open');
}

/** Types a message into a chat page and sends it, as a person would. */
export async function say(page, name, text) {
  await page.fill('#name', name);
  await page.fill('#text', text);
  await page.click('#send:enabled');
}

/** The messages a chat page shows, each as its text without the sender's name; notices are left out. */
export function texts(page) {
  return page.$$eval('#messages li:not(.notice)', (items) => items.map((item) => item.lastChild.textContent));
}

/** Waits until a chat page shows exactly `expected`, and fails with what it shows instead. */
export async function shows(page, expected) {
  await page
    .waitForFunction(
      (count) => document.querySelectorAll('#messages li:not(.notice)').length >= count, expected.length)
    .catch(() => { /* The comparison below says what is missing. */ });
  assert.deepEqual(await texts(page), expected);
}
