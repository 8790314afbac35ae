// What the JavaScript client promises against the real broker, over every transport, in a browser and in Node: nothing is lost between a promise and
// a listener, requests keep their order, payloads are read once, and the failure of one request is its own.
import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { WebSocket } from 'ws';
import { connect } from '../../client-sdk/js/dist/fanwire.mjs';
import { msgpack } from '../../client-sdk/js/dist/fanwire-msgpack.mjs';
import { startBroker } from './broker.js';
import { openTab, startBrowser } from './browser.js';

const TRANSPORTS = ['websocket', 'sse', 'polling'];

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

/** Runs `work` with each kind of client: in Node over every transport and encoding, and in a page over every transport and with tabs. */
async function everywhere(work) {
  for (const transport of TRANSPORTS) {
    for (const codec of transport === 'websocket' ? [undefined, msgpack] : [undefined]) {
      const client = connect(broker.url, { WebSocket, transports: [transport], log: false, ...(codec ? { codec } : {}) });
      await work((method, argument) => method(client, argument), `node.${transport}.${codec ? 'msgpack' : 'json'}`);
      client.close();
    }
  }
  for (const kind of [...TRANSPORTS, 'tabs', 'msgpack']) {
    const page = await openTab(browser, `${broker.url}/`);
    for (const url of ['/fanwire.js', '/fanwire-tabs.js', '/fanwire-msgpack.js']) await page.addScriptTag({ url });
    await page.evaluate((kind) => {
      const options = kind === 'tabs' ? { share: fanwire.tabs() } : kind === 'msgpack' ? { codec: fanwire.msgpack } : { transports: [kind] };
      window.client = fanwire.connect('', { ...options, log: false });
    }, kind);
    await work((method, argument) => page.evaluate(`(${method})(client, ${JSON.stringify(argument)})`), `page.${kind}`);
    await page.close();
  }
}

test('what arrives between ready and the first loop is kept', async () => {
  await everywhere(async (run, name) => {
    const topic = `keep.${name}`;
    for (const text of ['one', 'two', 'three']) await broker.publish(topic, text);
    for (const options of [{ last: 3 }, { since: 'earliest' }]) {
      const seen = await run(async (client, [topic, options]) => {
        const subscription = client.subscribe(topic, options);
        await subscription.ready;
        await new Promise((resolve) => { setTimeout(resolve, 100); });
        const seen = [];
        for await (const { data } of subscription) if (seen.push(data) === 3) break;
        return seen;
      }, [topic, options]);
      assert.deepEqual(seen, ['one', 'two', 'three'], name);
    }
  });
});

test('a burst after ready loses nothing', async () => {
  await everywhere(async (run, name) => {
    const seen = await run(async (client, topic) => {
      const subscription = client.subscribe(topic);
      await subscription.ready;
      const publishing = Array.from({ length: 60 }, (_, number) => client.publish(topic, number));
      await publishing[20];
      const seen = [];
      for await (const { data } of subscription) if (seen.push(data) === 60) break;
      await Promise.all(publishing);
      return seen;
    }, `burst.${name}`);
    assert.deepEqual(seen, Array.from({ length: 60 }, (_, number) => number), name);
  });
});

test('a subscription receives what is published after it in the same turn, and nothing that was published before it', async () => {
  await everywhere(async (run, name) => {
    // A pattern over long polling may miss what is published between two polls.
    const hasPattern = !name.includes('polling');
    const seen = await run(async (client, [topic, hasPattern]) => {
      await client.ready;
      const seen = [];
      let done;
      const both = new Promise((resolve) => { done = resolve; });
      const take = (kind) => ({ data }) => {
        seen.push(`${kind} ${data}`);
        if (seen.length === (hasPattern ? 2 : 1)) done();
      };
      const publishing = [client.publish(topic, 'before')];
      client.subscribe(topic, take('plain'));
      if (hasPattern) client.subscribe(topic.replace('order', '*'), take('pattern'));
      publishing.push(client.publish(topic, 'after'));
      await Promise.all(publishing);
      await both;
      return seen.sort();
    }, [`order.${name}`, hasPattern]);
    assert.deepEqual(seen, hasPattern ? ['pattern after', 'plain after'] : ['plain after'], name);
  });
});

test('a payload is what it was when publish() was called, whatever it is made of', async () => {
  await everywhere(async (run, name) => {
    const [seen, codes] = await run(async (client, topic) => {
      const subscription = client.subscribe(topic);
      await subscription.ready;
      const bytes = new Uint8Array([1]);
      const object = { list: [1, , 3], when: new Date(5), where: new URL('http://x/'), drop: () => 1, gone: undefined, half: '\ud800', deep: new Proxy({ a: [1] }, {}), nan: NaN };  // eslint-disable-line no-sparse-arrays
      const publishing = [client.publish(topic, bytes), client.publish(topic, object), client.publish(topic, { large: 2n ** 53n + 1n, in: new Uint8Array([1, 2]) })];
      bytes[0] = 9;
      object.list.push(4);
      await Promise.all(publishing);
      const circle = {};
      circle.circle = circle;
      const odd = [new Map(), new Set(), Promise.resolve(1), new Blob(['x']), circle, { inner: new Map() }, () => 1];
      const codes = await Promise.all([...odd, undefined].map((payload) => client.publish(topic, payload).then(() => 'done', ({ name, code }) => `${name} ${code}`)));
      const seen = [];
      for await (const { data } of subscription) {
        const show = (_, value) => (typeof value === 'bigint' ? `${value}n` : value instanceof Uint8Array ? `bytes ${value}` : value);
        if (seen.push(JSON.stringify(data, show)) === 3) break;
      }
      return [seen, [...new Set(codes)], client.status.state];
    }, `payload.${name}`);
    assert.equal(seen[0], '"bytes 1"', name);
    assert.deepEqual(JSON.parse(seen[1]), { list: [1, null, 3], when: '1970-01-01T00:00:00.005Z', where: 'http://x/', half: '\ufffd', deep: { a: [1] }, nan: null }, name);
    assert.match(seen[2], name.includes('msgpack') ? /9007199254740993n.*bytes 1,2|AQI=/ : /900719925474099[23]n?.*AQI=/, name);
    assert.deepEqual(codes, ['FanwireError bad_frame'], name);
  });
});

test('a late listener learns the present status, and nothing follows unsubscribe()', async () => {
  await everywhere(async (run, name) => {
    const [late, after] = await run(async (client, topic) => {
      await client.ready;
      const late = [];
      client.on('status', ({ state }) => late.push(state));
      const after = [];
      const subscription = client.subscribe(topic, () => after.push('message'), { since: 'earliest' });
      for (const event of ['joined', 'lost', 'ended']) subscription.on(event, () => after.push(event));
      const publishing = client.publish(topic, 1);
      subscription.unsubscribe();
      await publishing;
      await client.publish(topic, 2);
      return [late, after];
    }, `late.${name}`);
    assert.deepEqual([late, after], [['connected'], []], name);
  });
});

test('one request that fails harms no other', async () => {
  await everywhere(async (run, name) => {
    const outcome = await run(async (client, topic) => {
      const codeOf = (promise) => promise.then(() => 'done', ({ code }) => code);
      const states = [];
      await client.ready;
      client.on('status', ({ state }) => states.push(state));
      const subscription = client.subscribe(topic);
      await subscription.ready;
      const codes = await Promise.all([
        client.publish(topic, 1), client.publish(topic, 'x'.repeat(1024 * 1024 + 1)), client.publish(topic, 2), client.subscribe('..').ready, client.publish('a..b', 1),
        client.subscribe('two words').ready, client.presence('..'), client.history(topic, { limit: -1 }), client.publish(topic, [[[[1]]]]), client.publish(topic, 3, { key: 'k' }),
      ].map(codeOf));
      let deep = 1;
      for (let level = 0; level < 128; level++) deep = [deep];
      return { codes: [...codes, await codeOf(client.publish(topic, deep)), await codeOf(client.publish(topic, [deep]))], states };
    }, `failing.${name}`);
    const [one, large, two, dots, empty, words, presence, limit, list, keyed, deep, tooDeep] = outcome.codes;
    assert.deepEqual([one, large, two, dots, empty, words, presence, list, keyed, deep, tooDeep], [
      'done', 'too_large', 'done', 'bad_topic', 'bad_topic', 'bad_topic', 'bad_topic', 'done', 'done', 'done', 'bad_frame',
    ], name);
    assert.notEqual(limit, 'timeout', name);
    assert.deepEqual(outcome.states, ['connected'], name);
  });
});

test('a payload that no frame can hold is refused, and the connection continues', async () => {
  await everywhere(async (run, name) => {
    const [code, state, other] = await run(async (client, topic) => {
      const small = client.publish(topic, 'small');
      const code = await client.publish(topic, '\u0001'.repeat(1024 * 1024)).then(() => 'done', (error) => error.code);
      await small;
      return [code, client.status.state, (await client.publish(topic, 'other')).topic];
    }, `escapes.${name}`);
    assert.ok(['done', 'too_large'].includes(code), `${name}: ${code}`);
    assert.deepEqual([state, other], ['connected', `escapes.${name}`], name);
  });
});

test('join and leave arrive over every transport', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'fanwire-presence-'));
  const file = join(directory, 'fanwire.toml');
  await writeFile(file, '[[topic]]\nmatch = "room.*"\npresence = true\n');
  const rooms = await startBroker({}, ['--config', file]);
  const other = connect(rooms.url, { WebSocket, log: false });
  for (const transport of TRANSPORTS) {
    const client = connect(rooms.url, { WebSocket, transports: [transport], log: false });
    const topic = `room.${transport}`;
    const events = [];
    let wake = () => {};
    const room = client.subscribe(topic);
    for (const name of ['join', 'leave']) {
      room.on(name, (member) => {
        events.push([name, member.topic, typeof member.user]);
        wake();
      });
    }
    await room.ready;
    const isSeen = (name) => events.some(([kind]) => kind === name);
    // What happens before the stream or poll has begun, or between two polls, is not reported: the other client joins and leaves until it is.
    for (let round = 0; round < 40 && !(isSeen('join') && isSeen('leave')); round++) {
      const visit = other.subscribe(topic);
      await visit.ready;
      await Promise.race([new Promise((resolve) => { wake = resolve; }), new Promise((resolve) => { setTimeout(resolve, 250); })]);
      visit.unsubscribe();
      await Promise.race([new Promise((resolve) => { wake = resolve; }), new Promise((resolve) => { setTimeout(resolve, 250); })]);
    }
    for (const name of ['join', 'leave']) assert.deepEqual(events.find(([kind]) => kind === name), [name, topic, 'string'], transport);
    client.close();
  }
  other.close();
  await rooms.stop();
  await rm(directory, { recursive: true });
});
