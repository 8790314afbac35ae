// A page of the broker's in Chromium that loads pusher-js. It owns the page; what is published it does not know.
import { fileURLToPath } from 'node:url';

import { openTab, startBrowser } from './browser.js';

const SCRIPT = fileURLToPath(new URL('node_modules/pusher-js/dist/web/pusher.min.js', import.meta.url));

/** Subscribes a page to the channel `page`, calls `publish` once it is subscribed, and returns the data of the event `new`. */
export async function inBrowser(t, broker, key, publish) {
  const browser = await startBrowser();
  t.after(() => browser.close());
  const page = await openTab(browser, `${broker.url}/`);
  await page.addScriptTag({ path: SCRIPT });
  await page.evaluate(async ([port, app]) => {
    const pusher = new window.Pusher(app, { wsHost: location.hostname, wsPort: port, forceTLS: false, enabledTransports: ['ws'], cluster: '' });
    const channel = pusher.subscribe('page');
    window.received = new Promise((resolve) => { channel.bind('new', resolve); });
    await new Promise((resolve) => { channel.bind('pusher:subscription_succeeded', resolve); });
  }, [broker.port, key]);
  await publish();
  return page.evaluate(() => window.received);
}
