//! The client as applications see it: `connect`, and the broker it returns.

import { parseAddress } from './address.ts';
import { Channels } from './channels.ts';
import { placeInFrame } from './cursor.ts';
import { systemClock } from './clock.ts';
import { type Client, closed, Connection } from './connection.ts';
import { Credentials } from './credentials.ts';
import { Emitter, Stream } from './emitter.ts';
import { asError, FanwireError } from './errors.ts';
import { Exchange, type RequestOptions } from './exchange.ts';
import { type ClientFrame, type MemberFrame, type MessageFrame, type Payload, type Place, type Position, positionIn, type ReplyFrame, type ServerFrame } from './frames.ts';
import type { Link } from './link.ts';
import { type Options, PAYLOAD_BYTES_MAX, TIMEOUT_MS } from './options.ts';
import { checked, type Message, messageOf } from './payload.ts';
import type { Status } from './status.ts';
import { type Member, type SubscribeOptions, Subscription } from './subscription.ts';
import { makeOpener } from './opener.ts';

/** The events of a broker, for `on`. */
export interface BrokerEvents {
  /** The connection changed its state. */
  status: Status;
  /** Something went wrong, and was printed. Whoever waits for a promise is told there too. */
  error: Error;
}

/** Options of `publish`. */
export interface PublishOptions extends RequestOptions {
  /** Idempotency key: makes repeating safe, so that a publish cut off by a lost connection is asked for again. */
  key?: string;
  /** `false`: the publication does not come back to this client. */
  echo?: boolean;
}

/** The broker's word that it has accepted a publication. */
export interface Receipt {
  topic: string;
  /** Undefined when the topic keeps no history. */
  position?: Position | undefined;
  /** Whether the key was known: it had been published before, and was not published again. */
  duplicate: boolean;
}

/** Options of `history`. */
export interface HistoryOptions extends RequestOptions {
  /** After this place, or before it with `reverse`. */
  since?: Place;
  /** At most so many. */
  limit?: number;
  /** Newest first. */
  reverse?: boolean;
}

/** What a topic holds. */
export interface History {
  messages: Message[];
  /** The newest position of the topic. */
  position?: Position | undefined;
  /** Whether there is more in the direction of reading. */
  more: boolean;
  /** Whether something between `since` and the first message is no longer held. */
  gap: boolean;
}

/** A connection to a broker. Made by `connect`. */
export class Broker extends Emitter<BrokerEvents> {
  /** Settles when the first attempt to connect has: rejects if that failed, even if the attempts go on. */
  readonly ready: Promise<Status>;
  private readonly exchange: Exchange;
  private readonly channels: Channels;
  private readonly connection: Connection;
  private readonly log: Pick<Console, 'error' | 'warn'> | false;
  private readonly payloadBytesMax: number;
  private settle!: { resolve(status: Status): void; reject(error: unknown): void };
  private isComplaining = false;

  /** Throws a `FanwireError` with code `bad_url` if that is no address of a broker. */
  constructor(url: string | URL, options: Options = {}) {
    super((thrown, during) => this.report(thrown, `the '${during}' listener`));
    const address = parseAddress(String(url), globalThis.location?.href);
    const clock = options.clock ?? systemClock;
    this.log = options.log ?? console;
    this.payloadBytesMax = options.payloadBytesMax ?? PAYLOAD_BYTES_MAX;
    this.ready = new Promise((resolve, reject) => { this.settle = { resolve, reject }; });
    this.ready.catch(() => {});  // It is printed as well, so that nobody has to wait for it.
    this.exchange = new Exchange(clock, options.timeoutMs ?? TIMEOUT_MS);
    this.channels = new Channels(this.exchange, (thrown, during) => this.report(thrown, during), (error) => this.complain(error));
    const credentials = new Credentials(options.token);
    const opener = () => makeOpener(address, options, credentials, clock, (text) => this.warn(text));
    const { share, ...rest } = options;
    const shared = share?.({
      address: address.http,
      opener,
      alone: () => new Broker(url, rest),
      makeError: ({ code, message, status }) => new FanwireError(code, message, { status }),
    });
    this.connection = new Connection(shared ?? opener(), credentials, this.client(), clock, options.name, options.reconnect);
    void this.connection.run();
  }

  /** How the connection is doing. */
  get status(): Status {
    return this.connection.status;
  }

  /** The changes of `status` from now on, for `for await`. */
  statuses(): AsyncIterableIterator<Status> {
    const stream: Stream<Status> = new Stream(() => off());
    const off = this.on('status', (status) => {
      stream.push(status);
      if (status.state === 'closed') stream.finish();
    });
    if (this.status.state === 'closed') stream.finish();
    return stream;
  }

  /**
   * Subscribes to a topic or pattern: `handler` is called with every message, in the topic's order, and once however often the
   * connection breaks in between. The handler may be left out where the subscription is used in a `for await` loop.
   */
  subscribe(topic: string, handler?: (message: Message) => unknown, options?: SubscribeOptions): Subscription;
  subscribe(topic: string, options?: SubscribeOptions): Subscription;
  subscribe(topic: string, first?: ((message: Message) => unknown) | SubscribeOptions, second: SubscribeOptions = {}): Subscription {
    const options = typeof first === 'object' ? first : second;
    const subscription = new Subscription(topic, this.channels, options);
    if (typeof first === 'function') subscription.on('message', first);
    if (options.signal?.aborted) subscription.unsubscribe();
    else if (this.status.state === 'closed') subscription.end(this.status.error ?? closed());
    else this.channels.add(subscription);
    return subscription;
  }

  /** Publishes a payload: a string as text, bytes as binary, anything else as JSON. Resolves when the broker has accepted it. */
  async publish(topic: string, payload: Payload, options: PublishOptions = {}): Promise<Receipt> {
    const { key, echo } = options;
    const frame = { type: 'publish', topic, key, echo: echo === false ? false : undefined, data: payload };
    const reply = await this.ask(frame, options, key !== undefined, (receipt) => {
      if (echo === false) this.channels.mute(topic, positionIn(receipt));
    });
    return { topic: reply.topic ?? topic, position: positionIn(reply), duplicate: reply['duplicate'] === true };
  }

  /** Reads what a topic still holds, without subscribing. */
  async history(topic: string, options: HistoryOptions = {}): Promise<History> {
    const { since, limit, reverse } = options;
    const reply = await this.ask({ type: 'history', topic, since: placeInFrame(since), limit, reverse }, options);
    const messages = (reply['messages'] as MessageFrame[]).map(messageOf);
    return { messages, position: positionIn(reply), more: reply['more'] === true, gap: reply['gap'] === true };
  }

  /** Who is subscribed to a topic with presence. */
  async presence(topic: string, options: RequestOptions = {}): Promise<Member[]> {
    const reply = await this.ask({ type: 'presence', topic }, options);
    return (reply['members'] as MemberFrame[]).map(({ user, connection, info }) => ({ topic, user, connection, info }));
  }

  /** Asks the application behind the broker. */
  async request<T = unknown>(method: string, payload: Payload = null, options: RequestOptions = {}): Promise<T> {
    return (await this.ask({ type: 'request', method, data: payload }, options, false))['data'] as T;
  }

  /** Ends the connection and everything that goes over it. */
  close(): void {
    this.connection.close();
    this.stop(closed());
  }

  /** Asks the broker. `answered` is called before anything that comes after the answer is looked at. */
  private ask(frame: ClientFrame, options: RequestOptions, isRepeatable = true, answered: (reply: ReplyFrame) => void = () => {}): Promise<ReplyFrame> {
    return new Promise<ReplyFrame>((resolve, reject) => {
      // The promise's own executor makes a rejection of what this throws.
      if ('data' in frame) frame['data'] = checked(frame['data'], this.payloadBytesMax, String(frame['topic'] ?? frame['method']));
      this.exchange.ask(frame, options, isRepeatable, {
        resolve: (reply) => {
          answered(reply);
          resolve(reply);
        },
        reject,
      });
    }).catch((error: unknown) => {
      if (error instanceof FanwireError && error.code !== 'closed') this.complain(error);
      throw error;
    });
  }

  /** What the connection tells. */
  private client(): Client {
    return {
      attached: (link: Link) => {
        // Subscriptions first, so that who subscribes and then publishes hears it.
        this.exchange.attach(link);
        this.channels.attach();
        this.exchange.flush();
      },
      detached: (cause) => {
        this.channels.detach();
        this.exchange.detach(cause);
      },
      received: (frame) => this.received(frame),
      blamed: (error) => this.exchange.fail('publish', error),
      refresh: (token) => new Promise((resolve, reject) => this.exchange.ask({ type: 'refresh', token }, {}, true, { resolve, reject })),
      changed: (status) => this.changed(status),
      ended: (error) => this.stop(error),
      warn: (text) => this.warn(text),
    };
  }

  private received(frame: ServerFrame): void {
    switch (frame.type) {
      case 'message': return this.channels.message(frame);
      case 'join': case 'leave': return this.channels.member(frame);
      case 'lagged': return this.channels.lagged(frame);
      case 'unsubscribed': return void (this.exchange.answered(frame) || this.channels.unsubscribed(frame));
      case 'error': return void (this.exchange.answered(frame) || this.complain(new FanwireError(frame.code, frame.message)));
      default: this.exchange.answered(frame);
    }
  }

  private changed(status: Status): void {
    const { state, error } = status;
    if (state === 'connected') {
      this.isComplaining = false;
      this.settle.resolve(status);
    } else if (error) {
      this.exchange.trouble = error;
      this.settle.reject(error);
      if (state === 'closed') this.complain(error);
      else if (!this.isComplaining) this.warn(`not connected: ${error.message}. Trying again`);
      this.isComplaining = true;
    }
    this.emit('status', status);
  }

  private stop(error: FanwireError): void {
    this.settle.reject(error);
    this.channels.close(error);
    this.exchange.close(error);
  }

  private report(thrown: unknown, during: string): void {
    if (this.log) this.log.error(`fanwire: ${during} failed:`, thrown);
    // An 'error' listener that fails must not be told about it.
    if (!during.startsWith("the 'error'")) this.emit('error', asError(thrown, 'internal', `${during} failed`));
  }

  private complain(error: FanwireError): void {
    if (this.log) this.log.error(`fanwire: ${error.code}: ${error.message}`);
    this.emit('error', error);
  }

  private warn(text: string): void {
    if (this.log) this.log.warn(`fanwire: ${text}`);
  }
}

/**
 * Connects to the broker at `url`: `http://host:7400`, `wss://host/ws`, or on a page the path under which the page's own host
 * serves the broker. Returns at once; what is asked meanwhile waits for the connection.
 */
export function connect(url: string | URL = '', options: Options = {}): Broker {
  return new Broker(url, options);
}
