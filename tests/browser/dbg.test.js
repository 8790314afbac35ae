import { startBroker } from './broker.js';
import { openTab, startBrowser } from './browser.js';
import { test } from 'node:test';
test('x', async () => {
  const broker = await startBroker(); const browser = await startBrowser();
  const page = await openTab(browser, `${broker.url}/`);
  await page.addScriptTag({ url: '/fanwire.js' });
  console.log(await page.evaluate(async () => {
    const log = []; const t0 = performance.now();
    const b = fanwire.connect('http://127.0.0.1:9', {});
    b.on('status', (s) => log.push([Math.round(performance.now() - t0), s.state, s.attempt, s.waitMs, s.error?.message]));
    await new Promise(r => setTimeout(r, 15000));
    return JSON.stringify(log, null, 1);
  }), page.complaints);
  await browser.close(); await broker.stop();
});
