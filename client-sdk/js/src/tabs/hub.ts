//! The leading tab's side of a shared connection: takes the frames of every tab, including its own, and answers them from one broker.
//! This file does not decide which tab leads.

import type { Broker } from '../broker.ts';
import type { FanwireError } from '../errors.ts';
import type { ClientFrame, Payload, Place, Position } from '../frames.ts';
import type { Message } from '../payload.ts';
import type { Status } from '../status.ts';
import type { Subscription } from '../subscription.ts';
import { type FromTab, tabLock, type ToTab } from './words.ts';

/** The interval of pings from a tab to its leader, in seconds. */
const PING_SECONDS = 3;

/** The leader's own time-out for a request of a tab, in milliseconds: longer than any wait of a page. */
const WAIT_MS = 2 ** 30;

/** One link of one tab. */
interface Client {
  tab: string;
  link: string;
  hello: ClientFrame;
  isWelcome: boolean;
  subscriptions: Map<string, Subscription>;
  /** Ends the watch over the tab. */
  forget: AbortController;
}

/** Serves the tabs on `channel` with the connection of `broker`. */
export class Hub {
  private readonly clients = new Map<string, Client>();

  constructor(private readonly name: string, private readonly channel: BroadcastChannel, private readonly broker: Broker) {
    channel.onmessage = ({ data }: MessageEvent<FromTab>) => { if (data.to === 'leader') this.take(data); };
    broker.on('status', (status) => this.changed(status));
  }

  /** Ends the service. The tabs look for another leader at once. */
  stop(): void {
    for (const client of [...this.clients.values()]) this.drop(client);
    this.channel.postMessage({ to: '*', isLed: false } satisfies ToTab);
    this.channel.close();
    this.broker.close();
  }

  private take({ from: tab, link, hello, frame }: FromTab): void {
    const client = this.clients.get(link);
    if (hello) this.greet(tab, link, hello);
    else if (frame && client) {
      try {
        this.answer(client, frame);
      } catch (thrown) {
        const { code = 'bad_frame', message } = thrown as FanwireError;
        this.say(client, { type: 'error', id: frame.id, code, message });
      }
    }
    else if (client) this.drop(client);
    // A tab with a link of an earlier leader has to open a new one.
    else this.channel.postMessage({ to: tab, link, end: { reason: 'another tab leads now' } } satisfies ToTab);
  }

  private greet(tab: string, link: string, hello: ClientFrame): void {
    this.channel.postMessage({ to: tab, link, isHeard: true } satisfies ToTab);
    // A tab repeats its hello while it waits, and when there is another leader.
    if (this.clients.has(link)) return;
    const client: Client = { tab, link, hello, isWelcome: false, subscriptions: new Map(), forget: new AbortController() };
    this.clients.set(link, client);
    // A tab holds this lock for as long as it lives.
    navigator.locks.request(tabLock(this.name, tab), { signal: client.forget.signal }, () => this.drop(client)).catch(() => {});
    const { status } = this.broker;
    if (status.state === 'connected') this.welcome(client, status);
    else if (status.state === 'closed') this.end(client, status);
  }

  private changed(status: Status): void {
    if (status.state === 'connecting') return;
    for (const client of [...this.clients.values()]) {
      if (status.state !== 'connected') this.end(client, status);
      else if (!client.isWelcome) this.welcome(client, status);
    }
  }

  private welcome(client: Client, { connection, user, server }: Status): void {
    client.isWelcome = true;
    this.say(client, { type: 'connected', id: client.hello.id, connection, user, server, ping_interval: PING_SECONDS });
  }

  private end(client: Client, { state, error }: Status): void {
    this.drop(client);
    const plain = error && { code: error.code, message: error.message, status: error.status };
    const end = { reason: error?.message ?? 'the shared connection broke', error: plain, isFinal: state === 'closed' };
    this.channel.postMessage({ to: client.tab, link: client.link, end } satisfies ToTab);
  }

  private drop(client: Client): void {
    if (!this.clients.delete(client.link)) return;
    client.forget.abort();
    for (const subscription of client.subscriptions.values()) subscription.unsubscribe();
  }

  private answer(client: Client, frame: ClientFrame): void {
    const { topic, since, last, token, limit, reverse, key, method, data } = frame as unknown as Fields;
    const reply = (type: string) => (fields: object) => this.say(client, { type, id: frame.id, ...fields });
    const refuse = ({ code, message }: FanwireError) => reply('error')({ code, message });
    const { broker } = this;
    // The tab has the time-out of its caller. The leader waits for as long as the tab lives.
    const wait = { timeoutMs: WAIT_MS, signal: client.forget.signal };
    switch (frame.type) {
      case 'subscribe': return this.subscribe(client, frame, broker.subscribe(topic, { since, last, ...(token ? { token } : {}) }));
      case 'unsubscribe': {
        client.subscriptions.get(topic)?.unsubscribe();
        client.subscriptions.delete(topic);
        return reply('unsubscribed')({ topic });
      }
      // The tab itself drops its echo, because the other tabs receive it.
      case 'publish': return void broker.publish(topic, data, { ...wait, ...(key === undefined ? {} : { key }) })
        .then(({ position, ...receipt }) => reply('published')({ ...receipt, ...position }), refuse);
      case 'history': return void broker.history(topic, { ...wait, ...(since === undefined ? {} : { since }), ...(limit ? { limit } : {}), ...(reverse ? { reverse } : {}) })
        .then(({ messages, position, ...page }) => reply('history')({ topic, ...page, ...position, messages: messages.map(entryOf) }), refuse);
      case 'presence': return void broker.presence(topic, wait).then((members) => reply('presence')({ topic, members }), refuse);
      case 'request': return void broker.request(method, data, wait).then((answer) => reply('response')({ data: answer }), refuse);
      // The leader's own token function renews the token of the connection.
      case 'refresh': return reply('refreshed')({ expires: 0 });
      case 'ping': return reply('pong')({});
      default: return reply('error')({ code: 'bad_frame', message: `the leading tab does not know '${frame.type}'` });
    }
  }

  private subscribe(client: Client, frame: ClientFrame, subscription: Subscription): void {
    const { topic } = subscription;
    client.subscriptions.get(topic)?.unsubscribe();
    client.subscriptions.set(topic, subscription);
    let isJoined = false;
    let isLossKnown = false;
    const say = (type: string, fields: object) => this.say(client, { type, topic, ...fields });
    subscription.on('joined', ({ position, recovered }) => {
      if (!isJoined) say('subscribed', { id: frame.id, ...position, recovered });
      isLossKnown = !isJoined && !recovered;
      isJoined = true;
    });
    subscription.on('lost', ({ missed }) => {
      if (!isLossKnown) say('lagged', { missed });
      isLossKnown = false;
    });
    subscription.on('message', (message) => say('message', entryOf(message)));
    subscription.on('join', (member) => say('join', member));
    subscription.on('leave', (member) => say('leave', member));
    subscription.on('ended', ({ code, message }) => {
      client.subscriptions.delete(topic);
      if (isJoined) say('unsubscribed', { code, reason: message });
      else say('error', { id: frame.id, code, message });
    });
  }

  private say(client: Client, frame: { type: string; [field: string]: unknown }): void {
    if (this.clients.has(client.link)) this.channel.postMessage({ to: client.tab, link: client.link, frame } satisfies ToTab);
  }
}

/** The fields of requests. */
interface Fields {
  topic: string;
  since?: Place;
  last?: number;
  token?: string;
  limit?: number;
  reverse?: boolean;
  key?: string;
  method: string;
  data: Payload;
}

/** Returns a message as an entry of a frame. */
function entryOf({ topic, data, position, time, from }: Message): { topic: string; data: unknown } & Partial<Position> {
  return { topic, data, ...position, ...(time === undefined ? {} : { ts: time }), ...(from === undefined ? {} : { from }) };
}

