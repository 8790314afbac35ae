// The chat pages: two tabs receive each other's messages, the history is shown on opening, and payloads do not become HTML.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { startBroker } from './broker.js';
import { CHAT, CHAT_SSE, openChat, openTab, PATIENCE_MS, say, shows, startBrowser } from './browser.js';

let broker;
let browser;
before(async () => {
  broker = await startBroker();
  browser = await startBrowser();
});
after(async () => {
  await browser?.close();
  await broker?.stop();
});

for (const [left, right] of [[CHAT, CHAT], [CHAT_SSE, CHAT_SSE], [CHAT, CHAT_SSE]]) {
  test(`two tabs see each other: ${left} and ${right}`, async () => {
    const topic = `chat.pair.${left.length}.${right.length}`;
    const ada = await openChat(browser, broker.url, left, topic);
    const grace = await openChat(browser, broker.url, right, topic);

    await say(ada, 'Ada', 'Hello Grace');
    await shows(grace, ['Hello Grace']);
    await say(grace, 'Grace', 'Hello Ada');
    await shows(ada, ['Hello Grace', 'Hello Ada']);
    await shows(grace, ['Hello Grace', 'Hello Ada']);

    assert.equal(await ada.textContent('#messages li:nth-child(2) b'), 'Grace');
    assert.equal(await ada.locator('#messages li.mine').count(), 1, 'only her own message is marked as hers');
    assert.equal(await ada.inputValue('#text'), '', 'the text box is empty again');
    assert.deepEqual([...ada.complaints, ...grace.complaints], []);
    await Promise.all([ada.close(), grace.close()]);
  });
}

for (const path of [CHAT, CHAT_SSE]) {
  test(`${path} shows the history, then live messages`, async () => {
    const topic = `chat.history.${path.length}`;
    await broker.publish(topic, { name: 'Ada', text: 'one' });
    await broker.publish(topic, 'two, as plain text');
    await broker.publish(topic, [3]);
    await broker.publish(topic, Buffer.from([0, 255]));
    const page = await openChat(browser, broker.url, path, topic);
    await shows(page, ['one', 'two, as plain text', '[3]', '(binary data)']);

    await broker.publish(topic, { name: 'Ada', text: 'five' });
    await broker.publish(topic, Buffer.from([0, 255]));
    await shows(page, ['one', 'two, as plain text', '[3]', '(binary data)', 'five', '(binary data)']);
    assert.deepEqual(page.complaints, []);
    await page.close();
  });

  test(`${path} shows the same text twice when it is published twice`, async () => {
    const topic = `chat.twice.${path.length}`;
    await broker.publish(topic, 'hello');
    await broker.publish(topic, 'hello');
    const page = await openChat(browser, broker.url, path, topic);
    await shows(page, ['hello', 'hello']);
    await broker.publish(topic, 'hello');
    await shows(page, ['hello', 'hello', 'hello']);
    await page.close();
  });

  test(`${path} shows hostile messages as text`, async () => {
    const topic = `chat.hostile.${path.length}`;
    const hostile = [
      '<img src=x onerror="window.hacked = 1">',
      '<script>window.hacked = 1</script>',
      '</ol><svg onload="window.hacked = 1">',
    ];
    await broker.publish(topic, { name: hostile[0], text: hostile[0] });
    const page = await openChat(browser, broker.url, path, topic);
    for (const text of hostile.slice(1)) await broker.publish(topic, { name: text, text });
    await broker.publish(topic, hostile[0]);
    await shows(page, [...hostile, hostile[0]]);

    assert.equal(await page.locator('#messages b').first().textContent(), hostile[0]);
    assert.equal(await page.locator('#messages :is(img, script, svg)').count(), 0);
    assert.equal(await page.evaluate(() => window.hacked), undefined);
    await page.close();
  });

  test(`${path} accepts every character that a topic may have`, async () => {
    const topic = `chat.${path.length}.<img/src=x/onerror=hacked=1.a&b=c#d?e/f"g'h%41+é🙂`;
    const page = await openChat(browser, broker.url, path, topic);
    assert.equal(await page.textContent('h1'), topic);
    await say(page, 'Ada', 'still here');
    await shows(page, ['still here']);
    const history = await (await fetch(broker.topic(topic))).json();
    assert.equal(history.messages.length, 1);
    assert.equal(history.messages[0].topic, topic);

    // The link to the other page names the very same topic.
    await page.click('#other');
    await shows(page, ['still here']);
    assert.equal(await page.textContent('h1'), topic);
    assert.equal(await page.evaluate(() => window.hacked), undefined);
    await page.close();
  });

  test(`${path} shows why a topic is refused`, async () => {
    const page = await openTab(browser, `${broker.url}${path}?topic=two%20words`);
    const reason = (await (await fetch(broker.topic('two words'))).json()).detail;
    assert.ok(reason.length > 0, 'the broker gives a reason');
    await page.waitForFunction((text) => document.querySelector('#status').textContent === text, reason, { timeout: PATIENCE_MS });
    await page.close();
  });

  test(`${path} can be used by keyboard and read aloud`, async () => {
    const page = await openChat(browser, broker.url, path, `chat.access.${path.length}`);
    assert.equal(await page.evaluate(() => document.activeElement.id), 'text', 'one can type at once');
    await page.keyboard.type('by keyboard');
    await page.keyboard.press('Enter');
    await shows(page, ['by keyboard']);
    assert.equal(await page.getByLabel('Your name').count(), 1);
    assert.equal(await page.getByLabel('Message', { exact: true }).count(), 1);
    assert.equal(await page.getByRole('log').getAttribute('aria-live'), 'polite');
    await page.close();
  });
}
