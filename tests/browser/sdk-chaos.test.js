// Thirty seconds of chaos for the JavaScript client, over each transport: connections are cut at any moment, also in the middle of a
// message, refused for a while, and the broker is restarted. Every position arrives once and in order. Where the broker has
// lost its history, the client reports `lost`. On a durable topic the broker loses nothing, even when it is killed.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { startBroker } from './broker.js';
import { PATIENCE_MS, startBrowser } from './browser.js';
import { startProxy } from './proxy.js';
import { openClient } from './sdk.js';

const CHAOS_MS = Number(process.env.CHAOS_MS ?? 30_000);
const SEED = Number(process.env.CHAOS_SEED ?? Date.now() % 1_000_000);
// The default rule keeps 100 publications of a topic in memory, so the publisher never runs further ahead of the page than this.
const AHEAD_MAX = 60;
const RESTARTS = 3;
// What is published at least in each run of the broker, however slow the machine is.
const RUN_MIN = 60;

let browser;
before(async () => { browser = await startBrowser(); });
after(async () => { await browser?.close(); });

/** Numbers from 0 to 1 that a seed repeats (mulberry32). */
function random(seed) {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}

const pause = (ms) => new Promise((resolve) => { setTimeout(resolve, ms); });

for (const transport of ['websocket', 'sse', 'polling']) {
  test(`thirty seconds of cuts and restarts over ${transport}, seed ${SEED}`, async () => {
    const draw = random(SEED);
    let broker = await startBroker();
    const proxy = await startProxy(broker.port);
    const topic = 'chaos.all';
    const published = [];  // One list for each run of the broker.
    try {
      const page = await openClient(browser, proxy.url, { transports: [transport], reconnect: { capMs: 500 } });
      await page.evaluate((topic) => watch(topic, { since: 'earliest' }).ready, topic);
      const caughtUp = (behind) => page.waitForFunction(
        (count) => positions.length >= count, published.flat().length - behind, { timeout: PATIENCE_MS, polling: 20 });
      const end = Date.now() + CHAOS_MS;
      for (let life = 0; life <= RESTARTS; life++) {
        const lifeEnd = end - (RESTARTS - life) * (CHAOS_MS / (RESTARTS + 1));
        published.push([]);
        while (Date.now() < lifeEnd || published[life].length < RUN_MIN) {
          const receipt = await broker.publish(topic, { life, number: published[life].length });
          published[life].push(`${receipt.epoch}:${receipt.offset}`);
          const dice = draw();
          if (dice < 0.02) proxy.cut();
          else if (dice < 0.04) proxy.cutInTheMiddle();
          else if (dice < 0.045) {
            proxy.refusing = true;
            proxy.cut();
            setTimeout(() => { proxy.refusing = false; }, 300 * draw());
          }
          await caughtUp(AHEAD_MAX);
          await pause(10 * draw());
        }
        proxy.refusing = false;
        // A broker without a disk loses its history, so the page is up to date before each end.
        await caughtUp(0);
        if (life === RESTARTS) break;
        proxy.refusing = true;
        const old = broker;
        proxy.cut();
        await old.stop();
        broker = await startBroker();
        proxy.port = broker.port;
        proxy.refusing = false;
      }
      const { positions, seen } = await page.evaluate(() => ({ positions, seen }));
      const all = published.flat();
      assert.deepEqual(positions, all, 'every position once, in order');
      const losses = seen.flatMap((entry, index) => (entry === 'lost' ? [index] : []));
      assert.ok(losses.length >= RESTARTS, `every new epoch is reported: ${losses.length} of ${RESTARTS}`);
      // A loss is reported where a run of the broker ends, never between two messages of one run.
      for (const at of losses) {
        const before = seen.slice(0, at).findLast((entry) => entry !== 'lost');
        const next = seen.slice(at).find((entry) => entry !== 'lost');
        assert.notEqual(before?.life, next?.life, `lost between ${JSON.stringify(before)} and ${JSON.stringify(next)}`);
      }
      const uncaught = page.complaints.filter((text) => /Uncaught|unhandled/i.test(text));
      assert.deepEqual(uncaught, []);
      await page.close();
    } finally {
      await proxy.stop();
      await broker.stop();
    }
  });
}

for (const transport of ['websocket', 'sse', 'polling']) {
  test(`cuts and kills over ${transport} on a durable topic, seed ${SEED}`, async () => {
    const draw = random(SEED + 1);
    const folder = mkdtempSync(join(tmpdir(), 'fanwire-chaos-'));
    writeFileSync(join(folder, 'fanwire.toml'), `data_dir = "${folder}/data"\n\n[[topic]]\nmatch = "chaos.>"\ndurable = true\n`);
    const start = () => startBroker({}, ['--config', join(folder, 'fanwire.toml')]);
    let broker = await start();
    const proxy = await startProxy(broker.port);
    const published = [];
    try {
      const page = await openClient(browser, proxy.url, { transports: [transport], reconnect: { capMs: 500 } });
      await page.evaluate(() => watch('chaos.durable').ready);
      const end = Date.now() + CHAOS_MS / 3;
      let kills = 0;
      while (Date.now() < end || published.length < 2 * RUN_MIN) {
        const { epoch, offset } = await broker.publish('chaos.durable', published.length);
        published.push(`${epoch}:${offset}`);
        const dice = draw();
        if (dice < 0.03) proxy.cut();
        else if (dice < 0.06) proxy.cutInTheMiddle();
        else if (dice < 0.07 || (kills === 0 && published.length === 50)) {
          kills += 1;
          await broker.kill();
          broker = await start();
          proxy.port = broker.port;
        }
        await pause(10 * draw());
      }
      await page.waitForFunction((count) => positions.length >= count, published.length, { timeout: PATIENCE_MS, polling: 20 }).catch(() => { /* compared below */ });
      const { positions, seen } = await page.evaluate(() => ({ positions, seen }));
      assert.ok(kills > 0);
      assert.deepEqual(seen, published.map((_, number) => number), 'everything once, in order, and without lost');
      assert.deepEqual(positions, published);
      await page.close();
    } finally {
      await proxy.stop();
      await broker.stop();
      rmSync(folder, { recursive: true });
    }
  });
}
