// One connection for several tabs of a real browser: shared, passed on when the leading tab closes or sleeps, with every
// position once in every tab.
import assert from 'node:assert/strict';
import { after, afterEach, before, beforeEach, test } from 'node:test';
import { startBroker } from './broker.js';
import { PATIENCE_MS, startBrowser } from './browser.js';
import { startProxy } from './proxy.js';
import { seenAtLeast } from './sdk.js';

let broker;
let proxy;
let browser;
let context;
before(async () => {
  broker = await startBroker();
  browser = await startBrowser();
});
after(async () => {
  await browser?.close();
  await broker?.stop();
});
beforeEach(async () => {
  proxy = await startProxy(broker.port);
  context = await browser.newContext();
});
afterEach(async () => {
  await context?.close();
  await proxy?.stop();
});

/** Opens a tab on the broker, with the client loaded. */
async function openPage() {
  const page = await context.newPage();
  page.setDefaultTimeout(PATIENCE_MS);
  await page.goto(proxy.url);
  await page.addScriptTag({ url: '/fanwire.js' });
  await page.addScriptTag({ url: '/fanwire-tabs.js' });
  return page;
}

/** Connects a tab over the connection that the tabs of the test share. */
async function share(page) {
  await page.evaluate(() => {
    window.seen = [];
    window.broker = fanwire.connect('', { share: fanwire.tabs() });
    window.watch = (topic, options) => broker.subscribe(topic, (message) => seen.push(message.data), { ...options, onLost: () => seen.push('lost') });
  });
}

/** Opens a tab and connects it. */
async function openShared() {
  const page = await openPage();
  await share(page);
  return page;
}

/** Returns the number of WebSocket sessions of the broker. */
async function sessions() {
  const metrics = await (await fetch(`${broker.url}/metrics`)).text();
  return Number(/^fanwire_connections\{transport="ws"\} (\d+)/m.exec(metrics)?.[1] ?? 0);
}

/** Puts a tab to sleep, or wakes it. */
async function setAsleep(page, asleep) {
  const session = await context.newCDPSession(page);
  await session.send('Page.setWebLifecycleState', { state: asleep ? 'frozen' : 'active' });
}

test('several tabs share one connection, and each receives its own subscriptions', async () => {
  const topic = 'tabs.shared';
  await broker.publish(topic, 'before');
  const one = await openShared();
  assert.equal((await one.evaluate(() => broker.ready)).transport, 'tab');
  await one.evaluate((topic) => watch(topic).ready, topic);
  const two = await openShared();
  const three = await openShared();
  const joined = await two.evaluate((topic) => watch(topic, { since: 'earliest' }).ready, topic);
  assert.equal(joined.recovered, true);
  await three.evaluate((topic) => watch(topic, { last: 1 }).ready, topic);
  assert.equal(await sessions(), 1);

  const receipt = await two.evaluate((topic) => broker.publish(topic, new Uint8Array([1, 2])), topic);
  assert.equal(receipt.position.offset, 2);
  await three.evaluate((topic) => broker.publish(topic, 'quiet', { echo: false }), topic);
  await broker.publish(topic, 'last');
  const list = async (page, count) => (await seenAtLeast(page, count)).map((value) => (typeof value === 'string' ? value : 'bytes'));
  assert.deepEqual(await list(one, 3), ['bytes', 'quiet', 'last']);
  assert.deepEqual(await list(two, 4), ['before', 'bytes', 'quiet', 'last']);
  assert.deepEqual(await list(three, 3), ['before', 'bytes', 'last'], 'the publisher without echo receives none, and the other tabs do');

  const asked = await two.evaluate(async (topic) => {
    const { messages, more } = await broker.history(topic, { limit: 1, reverse: true });
    const code = (promise) => promise.then(() => 'done', (error) => `${error.code} ${error instanceof fanwire.FanwireError}`);
    return [messages.length, more, await code(broker.presence(topic)), await code(broker.publish('two words', 1)), await code(broker.subscribe('a b').ready)];
  }, topic);
  assert.deepEqual(asked, [1, true, 'unavailable true', 'bad_topic true', 'bad_topic true']);
});

test('a request has the time-out of its own tab, not of the leading one', async () => {
  const leader = await openPage();
  await leader.evaluate(async () => {
    window.broker = fanwire.connect('', { share: fanwire.tabs(), timeoutMs: 300 });
    await broker.ready;
  });
  const other = await openShared();
  await other.evaluate(() => broker.ready);
  // An answer takes two of these.
  proxy.latencyMs = 400;
  const { topic } = await other.evaluate(() => broker.publish('tabs.patient', 'slow', { timeoutMs: 60_000 }));
  assert.equal(topic, 'tabs.patient');
  const { messages } = await other.evaluate(() => broker.history('tabs.patient', { timeoutMs: 60_000 }));
  assert.deepEqual(messages.map(({ data }) => data), ['slow']);
});

test('when the leading tab is closed another one leads, and nothing is lost or doubled', async () => {
  const topic = 'tabs.closed';
  const pages = [await openShared(), await openShared(), await openShared()];
  for (const page of pages) await page.evaluate((topic) => watch(topic, { since: 'earliest' }).ready, topic);
  const numbers = [];
  for (let number = 0; number < 60; number++) {
    await broker.publish(topic, number);
    numbers.push(number);
    if (number === 20 || number === 40) await pages.shift().close();
  }
  for (const page of pages) assert.deepEqual(await seenAtLeast(page, numbers.length), numbers);
  assert.equal(await sessions(), 1);
});

test('when the leading tab sleeps another one leads, and the first continues from its position when it wakes', async () => {
  const topic = 'tabs.asleep';
  const leader = await openShared();
  await leader.evaluate(() => broker.ready);
  const other = await openShared();
  for (const page of [leader, other]) await page.evaluate((topic) => watch(topic).ready, topic);
  await broker.publish(topic, 'awake');
  await seenAtLeast(leader, 1);
  await setAsleep(leader, true);
  for (const text of ['one', 'two']) await broker.publish(topic, text);
  assert.deepEqual(await seenAtLeast(other, 3), ['awake', 'one', 'two']);
  await setAsleep(leader, false);
  assert.deepEqual(await seenAtLeast(leader, 3), ['awake', 'one', 'two']);
  await broker.publish(topic, 'three');
  for (const page of [leader, other]) assert.deepEqual(await seenAtLeast(page, 4), ['awake', 'one', 'two', 'three']);
});

test('when a leading tab does not answer, the visible tab leads', async () => {
  const topic = 'tabs.silent';
  const leader = await openShared();
  await leader.evaluate(() => broker.ready);
  const other = await openShared();
  for (const page of [leader, other]) await page.evaluate((topic) => watch(topic).ready, topic);
  // As if the browser had put it to sleep without an event: it holds the lock, and sends nothing.
  await leader.evaluate(() => {
    window.awake = { post: BroadcastChannel.prototype.postMessage, request: LockManager.prototype.request };
    BroadcastChannel.prototype.postMessage = () => {};
    LockManager.prototype.request = () => new Promise(() => {});
  });
  await broker.publish(topic, 'one');
  assert.deepEqual(await other.evaluate(() => seen), []);
  await other.evaluate(() => document.dispatchEvent(new Event('visibilitychange')));
  assert.deepEqual(await seenAtLeast(other, 1), ['one']);
  await leader.evaluate(() => {
    BroadcastChannel.prototype.postMessage = awake.post;
    LockManager.prototype.request = awake.request;
  });
  await broker.publish(topic, 'two');
  for (const page of [leader, other]) assert.deepEqual(await seenAtLeast(page, 2), ['one', 'two']);
  assert.equal(await sessions(), 1);
});

test('when a following tab sleeps the others continue, and it catches up when it wakes', async () => {
  const topic = 'tabs.follower';
  const leader = await openShared();
  await leader.evaluate(() => broker.ready);
  const follower = await openShared();
  for (const page of [leader, follower]) await page.evaluate((topic) => watch(topic).ready, topic);
  await setAsleep(follower, true);
  for (const text of ['one', 'two']) await broker.publish(topic, text);
  assert.deepEqual(await seenAtLeast(leader, 2), ['one', 'two']);
  await setAsleep(follower, false);
  assert.deepEqual(await seenAtLeast(follower, 2), ['one', 'two']);
});

test('a shared connection that is cut is made again for every tab', async () => {
  const topic = 'tabs.cut';
  const pages = [await openShared(), await openShared()];
  for (const page of pages) await page.evaluate((topic) => watch(topic).ready, topic);
  proxy.refusing = true;
  proxy.cut();
  for (const page of pages) await page.waitForFunction(() => broker.status.state === 'reconnecting');
  await broker.publish(topic, 'while away');
  proxy.refusing = false;
  for (const page of pages) assert.deepEqual(await seenAtLeast(page, 1), ['while away']);
  assert.equal(await sessions(), 1);
});

test('a tab that sends hello twice before there is a connection is connected when there is one', async () => {
  const [leader, other] = [await openPage(), await openPage()];
  proxy.latencyMs = 1000;
  await share(leader);
  // Its hello crosses the message that a tab leads, so it sends hello again before the first answer.
  await other.evaluate(() => {
    const { postMessage } = BroadcastChannel.prototype;
    BroadcastChannel.prototype.postMessage = function (message) {
      postMessage.call(this, message);
      if (!message.hello) return;
      BroadcastChannel.prototype.postMessage = postMessage;
      new BroadcastChannel(this.name).postMessage({ to: '*', isLed: true });
    };
  });
  await share(other);
  assert.equal(await leader.evaluate(() => broker.status.state), 'connecting');
  for (const page of [leader, other]) await page.waitForFunction(() => broker.status.state === 'connected');
  assert.equal(await sessions(), 1);
});
