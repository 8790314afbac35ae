// Faults around the JavaScript client in a real browser: each gives one clear error, in the console and in the promise, and
// no silent loop.
import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import http from 'node:http';
import { after, before, test } from 'node:test';
import { startBroker } from './broker.js';
import { openTab, startBrowser } from './browser.js';
import { startProxy } from './proxy.js';
import { openClient, prepare, seenAtLeast, transportOf } from './sdk.js';

const SECRET = 'a secret of the tests, long enough for HS256';

let broker;
let guarded;  // A broker that requires a token.
let browser;
let elsewhere;  // Another web site on this machine; for Chromium, evil.example is on it, too.
before(async () => {
  broker = await startBroker();
  guarded = await startBroker({ FANWIRE_AUTH_SECRET: SECRET });
  browser = await startBrowser('--host-resolver-rules=MAP evil.example 127.0.0.1');
  elsewhere = http.createServer((request, response) => {
    response.setHeader('Content-Type', 'text/html');
    response.statusCode = request.url === '/' ? 200 : 404;
    response.end('<!doctype html><link rel="icon" href="data:,"><title>elsewhere</title>');
  });
  await new Promise((resolve) => elsewhere.listen(0, '127.0.0.1', resolve));
});
after(async () => {
  await browser?.close();
  elsewhere?.close();
  await guarded?.stop();
  await broker?.stop();
});

/** Returns a token of `user` that ends in `seconds`. */
function token(user, seconds, grants = ['>']) {
  const part = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');
  const exp = Math.floor(Date.now() / 1000) + seconds;
  const signed = `${part({ alg: 'HS256', typ: 'JWT' })}.${part({ sub: user, exp, fanwire: { publish: grants, subscribe: grants } })}`;
  return `${signed}.${createHmac('sha256', SECRET).update(signed).digest('base64url')}`;
}

/** Opens a page of `site` with the client loaded, without a connection. */
async function openPage(site = `${broker.url}/`) {
  const page = await openTab(browser, site);
  const script = await (await fetch(`${broker.url}/fanwire.js`)).text();
  await page.addScriptTag({ content: script });
  return page;
}

/** Connects, and returns the result: {code, message, state, subscribed}. */
function attempt(page, url, options = {}) {
  return page.evaluate(async ([url, options]) => {
    const codeOf = (error) => error.code;
    window.broker = fanwire.connect(url, options);
    const subscribed = broker.subscribe('a').ready.then(() => 'done', codeOf);
    const { code, message } = await broker.ready.then(() => ({ code: 'done' }), (error) => error);
    const state = broker.status.state;
    return { code, message, state, subscribed: state === 'closed' ? await subscribed : undefined };
  }, [url, options]);
}

/** Returns what the client printed. */
const printed = (page) => page.complaints.filter((text) => text.startsWith('fanwire:'));

test('a wrong URL: no server answers', async () => {
  const proxy = await startProxy(broker.port);
  const { url } = proxy;
  await proxy.stop();
  const page = await openPage();
  const { code, message, state } = await attempt(page, url);
  assert.equal(code, 'unreachable');
  assert.ok(message.includes(url), message);
  assert.equal(state, 'reconnecting', 'the client tries again');
  await page.waitForFunction(() => broker.status.attempt >= 3);
  assert.equal(printed(page).length, 1, printed(page).join('\n'));
  await page.close();
});

test('a wrong URL: another server answers', async () => {
  for (const url of [`http://localhost:${elsewhere.address().port}/broker`, '/no/such/path']) {
    const page = await openPage(`http://localhost:${elsewhere.address().port}/`);
    const { code, message, state, subscribed } = await attempt(page, url);
    assert.deepEqual([code, state, subscribed], ['not_a_broker', 'closed', 'not_a_broker'], message);
    assert.ok(printed(page).filter((text) => text.includes('not_a_broker')).length >= 1, printed(page).join('\n'));
    await page.close();
  }
  const page = await openPage();
  const codes = await page.evaluate(() => ['ftp://x', 'http://x/?token=secret', 'http://'].map((url) => {
    try {
      return fanwire.connect(url);
    } catch ({ code }) {
      return code;
    }
  }));
  assert.deepEqual(codes, ['bad_url', 'bad_url', 'bad_url']);
  await page.close();
});

test('an origin that is refused', async () => {
  const page = await openPage(`http://evil.example:${elsewhere.address().port}/`);
  const { code, message, state, subscribed } = await attempt(page, broker.url);
  assert.deepEqual([code, state, subscribed], ['forbidden', 'closed', 'forbidden']);
  assert.ok(message.includes(`http://evil.example:${elsewhere.address().port}`) && message.includes('origins'), message);
  assert.ok(printed(page).some((text) => text.includes('origins')), page.complaints.join('\n'));
  await page.close();
});

for (const transport of ['websocket', 'sse', 'polling']) {
  test(`a token that is refused, and one that is not, over ${transport}`, async () => {
    const page = await openPage(`${guarded.url}/`);
    const refused = await page.evaluate(async ([url, options]) => {
      window.broker = fanwire.connect(url, options);
      const { code, message } = await broker.subscribe('a').ready.catch((error) => error);
      return { code, message, state: broker.status.state, publish: await broker.publish('a', 1).catch(({ code }) => code) };
    }, [guarded.url, { token: 'wrong', transports: [transport] }]);
    assert.deepEqual([refused.code, refused.state, refused.publish], ['unauthorized', 'closed', 'unauthorized'], refused.message);
    assert.ok(printed(page).length >= 1 && printed(page).every((text) => text.includes('unauthorized')), printed(page).join('\n'));

    page.complaints.length = 0;
    const allowed = await page.evaluate(async ([url, options]) => {
      window.broker = fanwire.connect(url, options);
      await broker.subscribe('mine.a').ready;
      const { position } = await broker.publish('mine.a', 1);
      const code = (promise) => promise.then(() => 'done', (error) => error.code);
      return [position.offset, await code(broker.publish('other', 1)), await code(broker.subscribe('other').ready)];
    }, [guarded.url, { token: token('ann', 60, ['mine.>']), transports: [transport] }]);
    assert.deepEqual(allowed.slice(1), ['forbidden', 'forbidden']);
    await page.close();
  });

  test(`a token function keeps a connection alive beyond its first token, over ${transport}`, async () => {
    const page = await openPage(`${guarded.url}/`);
    await prepare(page, `${guarded.url}/fanwire.js`);
    await page.exposeFunction('newToken', () => token('ann', 3));
    await page.evaluate(async ([url, transport]) => {
      window.reasons = [];
      window.broker = fanwire.connect(url, {
        transports: [transport],
        token: (reason) => {
          reasons.push(reason);
          return newToken();
        },
      });
      await watch('mine.tokens', { since: 'earliest' }).ready;
    }, [guarded.url, transport]);
    for (let number = 0; number < 3; number++) {
      await page.waitForFunction((times) => reasons.length >= times, 2 + number);
      await page.evaluate((number) => broker.publish('mine.tokens', number, { key: String(number) }), number);
    }
    assert.deepEqual(await seenAtLeast(page, 3), [0, 1, 2]);
    assert.deepEqual(printed(page).filter((text) => text.includes('unauthorized')), []);
    await page.close();
  });
}

test('offline: the state and the errors of requests tell, and being online again ends the wait', async () => {
  const proxy = await startProxy(broker.port);
  try {
    const page = await openClient(browser, proxy.url);
    await page.evaluate(() => watch('sdk.offline').ready);
    await page.context().setOffline(true);
    proxy.cut();  // Playwright's offline does not cut what is open.
    await page.waitForFunction(() => broker.status.state === 'offline');
    const { code, message } = await page.evaluate(() => broker.publish('sdk.offline', 'lost', { timeoutMs: 200 }).catch(({ code, message }) => ({ code, message })));
    assert.equal(code, 'timeout');
    assert.match(message, /no connection/);
    await broker.publish('sdk.offline', 'while away');
    await page.context().setOffline(false);
    assert.deepEqual(await seenAtLeast(page, 1), ['while away']);
    await page.close();
  } finally {
    await proxy.stop();
  }
});

test('a payload that is too large for the client or for the broker', async () => {
  const page = await openClient(browser, broker.url, { payloadBytesMax: 16 * 1024 * 1024 });
  for (const size of [1024 * 1024 + 1, 3 * 1024 * 1024]) {
    const { code, message } = await page.evaluate((size) => broker.publish('sdk.large', 'x'.repeat(size)).catch(({ code, message }) => ({ code, message })), size);
    assert.equal(code, 'too_large', message);
  }
  assert.equal(printed(page).filter((text) => text.includes('too_large')).length, 2, printed(page).join('\n'));
  const { position } = await page.evaluate(() => broker.publish('sdk.large', 'fits'));
  assert.equal(position.offset, 1, 'the client continues');
  await page.close();
});

test('a handler that throws is printed, and other handlers and later messages are not affected', async () => {
  const page = await openClient(browser, broker.url);
  await page.evaluate(async () => {
    window.errors = [];
    broker.on('error', (error) => errors.push(error.message));
    broker.subscribe('sdk.throws', () => { throw new Error('a mistake of the page'); });
    await watch('sdk.throws').ready;
  });
  for (const text of ['one', 'two']) await broker.publish('sdk.throws', text);
  assert.deepEqual(await seenAtLeast(page, 2), ['one', 'two']);
  assert.equal(page.complaints.filter((text) => text.includes('a mistake of the page') && text.includes('sdk.throws')).length, 2, page.complaints.join('\n'));
  assert.equal(await page.evaluate(() => errors.length), 2);
  assert.equal(await page.evaluate(() => broker.status.state), 'connected');
  await page.close();
});

test('a page that the browser suspends closes its connection, and continues from its position when it is back', async () => {
  const page = await openClient(browser, broker.url);
  await page.evaluate(() => watch('sdk.aside').ready);
  await page.evaluate(() => dispatchEvent(new PageTransitionEvent('pagehide', { persisted: true })));
  await page.waitForFunction(() => broker.status.state === 'suspended');
  await broker.publish('sdk.aside', 'while aside');
  await page.evaluate(() => dispatchEvent(new PageTransitionEvent('pageshow', { persisted: true })));
  assert.deepEqual(await seenAtLeast(page, 1), ['while aside']);
  await page.close();
});

for (const transport of ['websocket', 'sse', 'polling']) {
  test(`a page that slept while its connection was cut continues from its position, over ${transport}`, async () => {
    const proxy = await startProxy(broker.port);
    try {
      const page = await openClient(browser, proxy.url, { transports: [transport] });
      const topic = `sdk.asleep.${transport}`;
      await page.evaluate((topic) => watch(topic).ready, topic);
      const session = await page.context().newCDPSession(page);
      await session.send('Page.setWebLifecycleState', { state: 'frozen' });
      proxy.cut();
      for (const text of ['one', 'two']) await broker.publish(topic, text);
      await session.send('Page.setWebLifecycleState', { state: 'active' });
      assert.deepEqual(await seenAtLeast(page, 2), ['one', 'two']);
      assert.equal(await transportOf(page), transport);
      await page.close();
    } finally {
      await proxy.stop();
    }
  });
}
