//! The interface for applications: `connect`, and the broker that it returns.

import { parseAddress } from './address.ts';
import { Channels } from './channels.ts';
import { placeInFrame } from './cursor.ts';
import { systemClock } from './clock.ts';
import { type Client, closed, Connection } from './connection.ts';
import { Credentials } from './credentials.ts';
import { Emitter, guard, Stream } from './emitter.ts';
import { asError, FanwireError } from './errors.ts';
import { Exchange, type RequestOptions } from './exchange.ts';
import { type ClientFrame, type MemberFrame, type MessageFrame, type Payload, type Place, type Position, positionIn, type ReplyFrame, type ServerFrame } from './frames.ts';
import type { Link } from './link.ts';
import { type Options, PAYLOAD_BYTES_MAX, TIMEOUT_MS } from './options.ts';
import { checkOptions } from './names.ts';
import { type Message, messageOf, snapshot } from './payload.ts';
import type { Status } from './status.ts';
import { type Member, type SubscribeOptions, Subscription } from './subscription.ts';
import { makeOpener } from './opener.ts';
import { topicError } from './topic.ts';

/** The events of a broker, for `on`. */
export interface BrokerEvents {
  /** The status of the connection: the present one first, then every change. */
  status: Status;
  /** An error occurred and was printed. A promise that it concerns rejects with it, too. */
  error: Error;
}

/** Options of `publish`. */
export interface PublishOptions extends RequestOptions {
  /** The idempotency key. It makes repeating safe, so that a publish is sent again after a lost connection. */
  key?: string;
  /** `false`: the publication is not delivered to this client. */
  echo?: boolean;
}

/** The broker's confirmation that it has accepted a publication. */
export interface Receipt {
  topic: string;
  /** Undefined when the topic keeps no history. */
  position?: Position | undefined;
  /** Whether the broker knew the key: the payload was published before, and not again. */
  duplicate: boolean;
}

/** Options of `history`. */
export interface HistoryOptions extends RequestOptions {
  /** After this place, or before it with `reverse`. */
  since?: Place;
  /** The maximum number of messages. */
  limit?: number;
  /** Newest first. */
  reverse?: boolean;
}

/** The publications that a topic holds. */
export interface History {
  messages: Message[];
  /** The newest position of the topic. */
  position?: Position | undefined;
  /** Whether there are more messages in the direction of reading. */
  more: boolean;
  /** Whether publications between `since` and the first message are no longer held. */
  gap: boolean;
}

/** A connection to a broker, made by `connect`. */
export class Broker extends Emitter<BrokerEvents> {
  /** Settles with the first attempt to connect. It rejects if that failed, also when more attempts follow. */
  readonly ready: Promise<Status>;
  private readonly exchange: Exchange;
  private readonly channels: Channels;
  private readonly connection: Connection;
  private readonly log: Pick<Console, 'error' | 'warn'> | false;
  private readonly payloadBytesMax: number;
  private settle!: { resolve(status: Status): void; reject(error: unknown): void };
  private isComplaining = false;
  /** The error that was printed last. It may end the connection and several requests, and is printed once. */
  private printed: FanwireError | undefined;

  /** Throws a `FanwireError` with code `bad_url` or `bad_option`. */
  constructor(url: string | URL, options: Options = {}) {
    super('status error', (thrown, during) => this.report(thrown, `the '${during}' listener`));
    checkOptions('connect', options);
    checkOptions('reconnect', options.reconnect ?? {});
    const address = parseAddress(String(url), globalThis.location?.href);
    const clock = options.clock ?? systemClock;
    this.log = options.log ?? console;
    this.payloadBytesMax = options.payloadBytesMax ?? PAYLOAD_BYTES_MAX;
    this.ready = new Promise((resolve, reject) => { this.settle = { resolve, reject }; });
    this.ready.catch(() => {});  // The error is printed as well, so the promise may be ignored.
    const timeoutMs = options.timeoutMs ?? TIMEOUT_MS;
    this.exchange = new Exchange(clock, timeoutMs);
    this.channels = new Channels(this.exchange, (thrown, during) => this.report(thrown, during), (error) => this.complain(error));
    const credentials = new Credentials(options.token, clock, timeoutMs);
    const opener = () => makeOpener(address, options, credentials, clock, (text) => this.warn(text));
    const { share, ...rest } = options;
    const shared = share?.({
      address: address.http,
      opener,
      alone: () => new Broker(url, rest),
    });
    this.connection = new Connection(shared ?? opener(), credentials, this.client(), clock, options.name, options.reconnect);
    void this.connection.run();
  }

  /** The present status of the connection. */
  get status(): Status {
    return this.connection.status;
  }

  /** The present status and its changes, for `for await`. */
  statuses(): AsyncIterableIterator<Status> {
    const stream: Stream<Status> = new Stream(() => off());
    const off = this.on('status', (status) => {
      stream.push(status);
      if (status.state === 'closed') stream.finish();
    });
    return stream;
  }

  /**
   * Subscribes to a topic or pattern. `handler` is called with every message once, in the order of the topic, also when the connection breaks in
   * between. Without a handler, messages are kept (at most 1000) until there is a listener or a `for await` loop. Throws a
   * `FanwireError` with code `bad_option` for wrong options; what the broker refuses is the error of the subscription alone.
   */
  subscribe(topic: string, handler?: (message: Message) => unknown, options?: SubscribeOptions): Subscription;
  subscribe(topic: string, options?: SubscribeOptions): Subscription;
  subscribe(topic: string, first?: ((message: Message) => unknown) | SubscribeOptions | null, second?: SubscribeOptions): Subscription {
    const [handler, options = {}] = typeof first === 'function' || second ? [first, second] : [undefined, first ?? {}];
    checkOptions('subscribe', options);
    const subscription = new Subscription(String(topic), this.channels, options);
    if (handler) subscription.on('message', handler as (message: Message) => unknown);
    const error = topicError(topic);
    if (options.signal?.aborted) subscription.unsubscribe();
    else if (this.status.state === 'closed') subscription.end(this.status.error ?? closed());
    else if (error) {
      subscription.end(error);
      this.complain(error);
    } else this.channels.add(subscription);
    return subscription;
  }

  /**
   * Publishes a payload: a string as text, bytes as binary, anything else as JSON. The payload is read before this returns. Resolves when the
   * broker has accepted it.
   */
  publish(topic: string, payload: Payload, options: PublishOptions = {}): Promise<Receipt> {
    return this.send('publish', options, options?.key !== undefined, () => {
      const { key, echo } = options;
      return { topic, key, echo: echo === false ? false : undefined, data: this.checked(payload, topic) };
    }, (receipt) => {
      if (options.echo === false) this.channels.mute(topic, positionIn(receipt));
      return { topic: receipt.topic ?? topic, position: positionIn(receipt), duplicate: receipt['duplicate'] === true };
    });
  }

  /** Reads what a topic still holds, without subscribing. */
  history(topic: string, options: HistoryOptions = {}): Promise<History> {
    return this.send('history', options, true, () => {
      const { since, limit, reverse } = options;
      return { topic, since: placeInFrame(since), limit, reverse };
    }, (reply) => {
      const messages = (reply['messages'] as MessageFrame[]).map(messageOf);
      return { messages, position: positionIn(reply), more: reply['more'] === true, gap: reply['gap'] === true };
    });
  }

  /** Returns the members of a topic with presence. */
  presence(topic: string, options: RequestOptions = {}): Promise<Member[]> {
    return this.send('presence', options, true, () => ({ topic }), (reply) =>
      (reply['members'] as MemberFrame[]).map(({ user, connection, info }) => ({ topic, user, connection, info })));
  }

  /** Sends a request to the application behind the broker, and returns its answer. */
  request<T = unknown>(method: string, payload: Payload = null, options: RequestOptions = {}): Promise<T> {
    return this.send('request', options, false, () => {
      if (typeof method !== 'string') throw new FanwireError('bad_option', 'request: `method` must be text');
      return { method, data: this.checked(payload, method) };
    }, (reply) => reply['data'] as T);
  }

  /** Ends the connection, all subscriptions and all requests. */
  close(): void {
    this.connection.close();
    this.stop(closed());
  }

  protected override backlog<Name extends keyof BrokerEvents>(name: Name): BrokerEvents[Name][] {
    return (name === 'status' ? [this.status] : []) as BrokerEvents[Name][];
  }

  private checked(payload: Payload, name: string): unknown {
    return snapshot(payload, this.payloadBytesMax, name);
  }

  /** Sends the request that `fields` returns. `read` is called with the answer before any later frame is processed. */
  private send<T>(
    type: 'publish' | 'history' | 'presence' | 'request', options: RequestOptions, isRepeatable: boolean, fields: () => object, read: (reply: ReplyFrame) => T,
  ): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      // What this throws rejects the promise.
      checkOptions(type, options);
      const frame: ClientFrame = { type, ...fields() };
      const error = type === 'request' ? undefined : topicError(frame['topic']);
      if (error) throw error;
      this.channels.flush();
      this.exchange.send(frame, options, isRepeatable, { resolve: (reply) => resolve(read(reply)), reject });
    }).catch((error: unknown) => {
      if (error instanceof FanwireError && error.code !== 'closed') this.complain(error);
      throw error;
    });
  }

  /** Returns what the connection calls. */
  private client(): Client {
    return {
      attached: (link: Link) => {
        // Subscriptions first: they receive what the pending requests publish.
        this.exchange.attach(link);
        this.channels.attach();
        this.exchange.flush();
      },
      detached: (cause) => {
        this.channels.detach();
        this.exchange.detach(cause);
      },
      received: (frame) => this.received(frame),
      blamed: (error) => this.exchange.blame(error),
      refresh: (token) => new Promise((resolve, reject) => this.exchange.send({ type: 'refresh', token }, {}, true, { resolve, reject })),
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
    this.print('error', `${during} failed:`, thrown);
    // An 'error' listener that fails must not be called with its own error.
    if (!during.startsWith("the 'error'")) this.emit('error', asError(thrown, 'internal', `${during} failed`));
  }

  private complain(error: FanwireError): void {
    if (this.printed === error) return;
    this.printed = error;
    this.print('error', `${error.code}: ${error.message}`);
    this.emit('error', error);
  }

  private warn(text: string): void {
    this.print('warn', text);
  }

  /** Prints. A log that fails, for example to show an odd value, does not affect the client. */
  private print(kind: 'error' | 'warn', text: string, ...more: unknown[]): void {
    guard(() => this.log && this.log[kind](`fanwire: ${text}`, ...more), () => {});
  }
}

/**
 * Connects to the broker at `url`: `http://host:7400`, `wss://host/ws`, or on a page the path under which the host of the page
 * serves the broker. Returns at once. Requests wait for the connection. Throws a `FanwireError` with code `bad_url` or
 * `bad_option`.
 */
export function connect(url: string | URL = '', options: Options = {}): Broker {
  return new Broker(url, options);
}
