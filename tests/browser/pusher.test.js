// pusher-js, laravel-echo and Pusher's server library for Node, unchanged, against the real broker.
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';

import Echo from 'laravel-echo';
import PusherServer from 'pusher';
import Pusher from 'pusher-js';

import { startBroker } from './broker.js';
import { inBrowser } from './pusher-page.js';

const APP = { id: '100', key: 'app-key', secret: 'app-secret' };

let broker;
let server;
let directory;

before(async () => {
  directory = await mkdtemp(join(tmpdir(), 'fanwire-pusher-'));
  const file = join(directory, 'fanwire.toml');
  const table = `[[pusher.app]]\nid = '${APP.id}'\nkey = '${APP.key}'\nsecret = '${APP.secret}'\n`;
  writeFileSync(file, `${table}subscription_count = true\n`);
  broker = await startBroker({}, ['--config', file]);
  server = new PusherServer({ appId: APP.id, key: APP.key, secret: APP.secret, host: '127.0.0.1', port: String(broker.port), useTLS: false,
    encryptionMasterKeyBase64: Buffer.alloc(32, 7).toString('base64') });
});

after(async () => {
  await broker?.stop();
  if (directory) await rm(directory, { recursive: true });
});

/** Options of pusher-js for the broker, with an application that signs for `user`. */
function options(user) {
  return {
    wsHost: '127.0.0.1', wsPort: broker.port, forceTLS: false, enabledTransports: ['ws'], cluster: '', disableStats: true,
    channelAuthorization: {
      customHandler: ({ socketId, channelName }, done) => {
        const member = channelName.startsWith('presence-') ? { user_id: user, user_info: { name: user } } : undefined;
        done(null, server.authorizeChannel(socketId, channelName, member));
      },
    },
    userAuthentication: {
      customHandler: ({ socketId }, done) => done(null, server.authenticateUser(socketId, { id: user, watchlist: ['bob'] })),
    },
  };
}

function connect(t, user = 'ann', more = {}) {
  const pusher = new Pusher(APP.key, { ...options(user), ...more });
  t.after(() => pusher.disconnect());
  return pusher;
}

/** Resolves with what the first `event` of an emitter carries. */
function once(emitter, event) {
  return new Promise((resolve) => emitter.bind(event, (...all) => resolve(all[0])));
}

const joined = (channel) => once(channel, 'pusher:subscription_succeeded');

test('pusher-js receives what the server library triggers, on channels of every kind', async (t) => {
  const pusher = connect(t);
  for (const name of ['news', 'private-a', 'private-encrypted-a', 'presence-a']) {
    const channel = pusher.subscribe(name);
    await joined(channel);
    const received = once(channel, 'new');
    const answer = await server.trigger(name, 'new', { number: 1.5, text: 'ä' });
    assert.equal(await answer.text(), '{}');
    assert.deepEqual(await received, { number: 1.5, text: 'ä' }, name);
  }
});

test('a batch, an excluded connection, and the description of channels', async (t) => {
  const pusher = connect(t);
  const channel = pusher.subscribe('batch');
  await joined(channel);
  const got = [];
  channel.bind_global((event, data) => { if (!event.startsWith('pusher:')) got.push(data); });
  await server.trigger('batch', 'e', 'left out', { socket_id: pusher.connection.socket_id });
  const last = once(channel, 'last');
  await server.triggerBatch([{ channel: 'batch', name: 'e', data: '1' }, { channel: 'batch', name: 'last', data: '2' }]);
  await last;
  assert.deepEqual(got, [1, 2]);
  const answer = await server.get({ path: '/channels/batch', params: { info: 'subscription_count' } });
  assert.deepEqual(await answer.json(), { occupied: true, subscription_count: 1 });
  const channels = await (await server.get({ path: '/channels' })).json();
  assert.ok('batch' in channels.channels);
});

test('presence: members, and who comes and goes', async (t) => {
  const ann = connect(t, 'ann');
  const room = ann.subscribe('presence-room');
  const members = await joined(room);
  assert.deepEqual([members.count, members.me.id, members.me.info], [1, 'ann', { name: 'ann' }]);
  const added = once(room, 'pusher:member_added');
  const bob = connect(t, 'bob');
  const seen = await joined(bob.subscribe('presence-room'));
  assert.equal(seen.count, 2);
  assert.deepEqual(await added, { id: 'bob', info: { name: 'bob' } });
  const removed = once(room, 'pusher:member_removed');
  bob.unsubscribe('presence-room');
  assert.equal((await removed).id, 'bob');
  assert.equal(room.members.count, 1);
});

test('client events reach the others, with their user on presence channels', async (t) => {
  const [one, other] = [connect(t, 'one'), connect(t, 'other')];
  const [from, to] = [one.subscribe('presence-talk'), other.subscribe('presence-talk')];
  await Promise.all([joined(from), joined(to)]);
  const received = new Promise((resolve) => to.bind('client-typing', (data, metadata) => resolve({ data, metadata })));
  assert.ok(from.trigger('client-typing', { on: true }));
  assert.deepEqual(await received, { data: { on: true }, metadata: { user_id: 'one' } });
});

test('a refused subscription reaches the channel, and the connection stays', async (t) => {
  const pusher = connect(t, 'ann', { channelAuthorization: { customHandler: (_, done) => done(null, { auth: `${APP.key}:00` }) } });
  const error = await once(pusher.subscribe('private-refused'), 'pusher:subscription_error');
  assert.deepEqual([error.type, error.status], ['AuthError', 401]);
  assert.match(error.error, /:private-refused/);
  await joined(pusher.subscribe('still-there'));
});

test('sign-in, events for one user, the watchlist, and the end of all connections of a user', async (t) => {
  const pusher = connect(t, 'carol');
  const watched = once(pusher.user.watchlist, 'offline');
  pusher.signin();
  assert.deepEqual((await watched).user_ids, ['bob']);
  await pusher.user.signinDonePromise;
  const note = once(pusher.user, 'note');
  // pusher-js joins the channel of the user by itself, and says nothing when it has.
  while (!pusher.user.serverToUserChannel?.subscribed) await new Promise((resolve) => { setTimeout(resolve, 10); });
  await server.sendToUser('carol', 'note', { text: 'hi' });
  assert.deepEqual(await note, { text: 'hi' });
  const closed = once(pusher.connection, 'error');
  await server.terminateUserConnections('carol');
  assert.equal((await closed).data.code, 4009);
});

test('a cached channel, and the number of subscribers', async (t) => {
  const pusher = connect(t);
  const channel = pusher.subscribe('cache-a');
  await once(channel, 'pusher:cache_miss');
  await server.trigger('cache-a', 'last', { a: 1 });
  const late = connect(t).subscribe('cache-a');
  const count = once(late, 'pusher:subscription_count');
  assert.deepEqual(await once(late, 'last'), { a: 1 });
  assert.equal((await count).subscription_count, 2);
});

test('errors of the server library carry the text of the refusal', async () => {
  const other = new PusherServer({ appId: APP.id, key: APP.key, secret: 'wrong', host: '127.0.0.1', port: String(broker.port), useTLS: false });
  const wrong = await other.trigger('a', 'e', 'x').catch((error) => error);
  assert.equal(wrong.status, 401);
  assert.match(wrong.body, /Invalid signature: you should have sent HmacSHA256Hex\("POST\\n\/apps\/100\/events\\n/);
  const large = await server.trigger('a', 'e', 'x'.repeat(10 * 1024 + 1)).catch((error) => error);
  assert.equal(large.status, 413);
  assert.match(large.body, /content of this event/);
});

test('Laravel Echo listens on public, private and presence channels, and whispers', async (t) => {
  globalThis.Pusher = Pusher;
  const echo = (user) => {
    const made = new Echo({ broadcaster: 'reverb', key: APP.key, Pusher, wsPort: broker.port, wssPort: broker.port, ...options(user) });
    t.after(() => made.disconnect());
    return made;
  };
  const [ann, bob] = [echo('ann'), echo('bob')];
  const received = new Promise((resolve) => {
    const channel = ann.private('orders.1').listen('OrderShipped', resolve);
    channel.subscribed(() => server.trigger('private-orders.1', 'App\\Events\\OrderShipped', { id: 1 }));
  });
  assert.deepEqual(await received, { id: 1 });
  const here = new Promise((resolve) => { ann.join('room.1').here(resolve); });
  assert.deepEqual(await here, [{ name: 'ann' }]);
  const joining = new Promise((resolve) => { ann.join('room.1').joining(resolve); });
  const whisper = new Promise((resolve) => { ann.join('room.1').listenForWhisper('typing', resolve); });
  const room = bob.join('room.1');
  await new Promise((resolve) => { room.here(resolve); });
  assert.deepEqual(await joining, { name: 'bob' });
  room.whisper('typing', { name: 'bob' });
  assert.deepEqual(await whisper, { name: 'bob' });
  const failed = new Promise((resolve) => {
    const refused = new Echo({ broadcaster: 'reverb', key: APP.key, Pusher, wsPort: broker.port, ...options('x'),
      channelAuthorization: { customHandler: (_, done) => done(null, { auth: 'k:0' }) } });
    t.after(() => refused.disconnect());
    refused.private('no').error(resolve);
  });
  assert.equal((await failed).status, 401);
});

test('pusher-js in Chromium shares a channel with a native publisher', async (t) => {
  const seen = await inBrowser(t, broker, APP.key, () => broker.publish('page', { event: 'new', data: { a: 1 } }));
  assert.deepEqual(seen, { a: 1 });
});

test('pusher-js comes back by itself after the broker has stopped and started again', async (t) => {
  const file = join(directory, 'again.toml');
  writeFileSync(file, `[[pusher.app]]\nid = '1'\nkey = 'again'\nsecret = 's'\n`);
  const first = await startBroker({}, ['--config', file]);
  const pusher = new Pusher('again', { ...options('ann'), wsPort: first.port });
  t.after(() => pusher.disconnect());
  const channel = pusher.subscribe('a');
  await joined(channel);
  await first.stop();
  const again = joined(channel);
  const second = await startBroker({}, ['--config', file], `127.0.0.1:${first.port}`);
  t.after(() => second.stop());
  await again;
  const received = once(channel, 'message');
  await second.publish('a', 'hello');
  assert.equal(await received, 'hello');
});
