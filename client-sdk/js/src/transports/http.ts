//! The protocol where no WebSocket gets through: requests become HTTP calls, and a receiver (a stream or long polling) brings the
//! publications of the topics. The code above this file does not notice.
//!
//! A topic is joined by reading its history, which tells its position. The receiver continues from there.

import type { Clock } from '../clock.ts';
import { placeInUrl } from '../cursor.ts';
import { asError, FanwireError } from '../errors.ts';
import { type ClientFrame, type FramePlace, fromWire, type Position, positionIn, toWire, unpack } from '../frames.ts';
import type { Link, LinkEnd, LinkListener } from '../link.ts';
import { isPattern } from '../topic.ts';
import { CallLost, type Calls, Refusal } from './calls.ts';
import { isBrowser, topicsOf } from './stream-request.ts';

/** The maximum number of topics of one stream or poll, as in the broker. */
const TOPICS_MAX = 64;

/** The maximum number of publications that one call reads. */
const PAGE = 1000;

/** The maximum number of publications of one call. The broker takes this number even of the largest. */
const BATCH = 10;

/**
 * How long a call may wait in a browser before the receiver gives up its connection for it, in milliseconds: a browser has six connections to a host
 * over HTTP/1.1, and six tabs with an event stream each take all of them. It is longer if the receiver has topics that cannot resume.
 */
const CROWDED_MS = 2000;
const CROWDED_LOSSY_MS = 5000;

/** The broker's answer to a reader of history or a poll. */
export interface Page {
  messages: { topic: string; epoch: string; offset: number }[];
  presence?: Record<string, unknown>[];
  cursor: string;
  gap: boolean;
  more: boolean;
}

/** The position of this link in each of its topics and patterns; undefined where there are no positions. */
export type Places = Map<string, Position | undefined>;

/** Brings the publications of the topics that were joined. */
export interface Receiver {
  /** Whether publications of topics without positions may be missed even without a fault. */
  readonly isLossy: boolean;
  /** Continues with the present topics and places. Resolves when their publications arrive. */
  restart(): Promise<void>;
  /** Gives up its connections until `restart`. */
  release(): void;
  /** Fails the link if it is silent for too long, because the machine may have slept. */
  check(): void;
}

/** A link over HTTP. */
export class HttpLink implements Link {
  readonly places: Places = new Map();
  /** Ends every pending call. */
  readonly aborts = new AbortController();
  private readonly receiver: Receiver;
  private joins = 0;
  /** Frames that wait for the frames before them, and publications that wait for their receipts. */
  private readonly queue: ClientFrame[] = [];
  private publishing: ClientFrame[] = [];
  /** Topics without positions whose joins wait for the receiver. */
  private readonly late: ClientFrame[] = [];
  private isStale = false;
  /** Publications that wait until it is known whether they are this client's own without echo. */
  private readonly held: Record<string, unknown>[] = [];

  constructor(private readonly calls: Calls, private readonly clock: Clock, private readonly listener: LinkListener, makeReceiver: (link: HttpLink) => Receiver) {
    this.receiver = makeReceiver(this);
  }

  send(frame: ClientFrame): void {
    switch (frame.type) {
      case 'connect': return void this.connect(frame);
      case 'ping': return this.reply(frame, 'pong', {});
      case 'unsubscribe': {
        const topic = String(frame['topic']);
        if (this.places.delete(topic)) this.restart();
        return this.reply(frame, 'unsubscribed', { topic });
      }
      case 'refresh': {
        // The new stream or poll shows the new token before the old one ends.
        this.restart();
        return this.reply(frame, 'refreshed', { expires: 0 });
      }
      default:
        this.queue.push(frame);
        this.work();
    }
  }

  close(): void {
    this.aborts.abort();
  }

  check(): void {
    this.receiver.check();
  }

  /** Takes a publication of the receiver: records its position, and passes it on. */
  message(entry: Record<string, unknown>): void {
    if ([...this.publishing, ...this.queue].some((frame) => frame['echo'] === false && frame['topic'] === entry['topic'])) {
      this.held.push(entry);
      return;
    }
    const topic = String(entry['topic']);
    const position = positionIn(entry as never);
    if (position && this.places.get(topic)) this.places.set(topic, position);
    this.listener.frame(fromWire({ ...entry, type: 'message' }));
  }

  /** Takes a presence event of the receiver. */
  member(entry: Record<string, unknown>): void {
    this.listener.frame(fromWire(entry));
  }

  /** Something other than a publication arrived. */
  alive(): void {
    this.listener.alive();
  }

  /** Reads a topic from its place, because publications in between may be lost, and continues from there. `isReported`: the loss was reported. */
  rejoin(topic: string, isReported = false): void {
    const since = this.places.get(topic);
    if (since) this.catchUp(topic, since, isReported).catch((error: unknown) => this.fail(error));
  }

  /** Reports that publications were or may have been missed. */
  lost(topic: string, missed?: number): void {
    this.listener.frame({ type: 'lagged', topic, ...(missed === undefined ? {} : { missed }) });
  }

  /** Ends the link, unless it has ended. */
  fail(thrown: unknown, end: Partial<LinkEnd> = {}): void {
    if (this.aborts.signal.aborted) return;
    this.aborts.abort();
    const error = thrown instanceof FanwireError && thrown.code !== 'not_a_broker' ? thrown : undefined;
    const reason = thrown instanceof Error ? thrown.message : String(thrown);
    const closing = thrown instanceof Refusal && thrown.afterMs
      ? { type: 'closing', code: thrown.status!, reason, reconnect: true, after_ms: thrown.afterMs } as const : undefined;
    this.listener.ended({ reason, error, closing, ...end });
  }

  /** The broker refused `names` together: ends those that it refuses alone, and fails the link if there are none. */
  async refusedAll(thrown: unknown, names: string[], isUnfit = false): Promise<void> {
    if (!(thrown instanceof FanwireError) || thrown.status === 401 ) return this.fail(thrown, { isUnfit });
    const refused = await Promise.all(names.map((topic) => this.probe(topic).then(() => false, (error: unknown) => {
      if (!(error instanceof FanwireError) || error.status === 401) return false;
      // Two streams may have been refused for the same topic.
      if (this.places.delete(topic)) this.listener.frame({ type: 'unsubscribed', topic, code: error.code, reason: error.message } as never);
      return true;
    })));
    if (refused.includes(true)) this.restart();
    else this.fail(thrown, { isUnfit });
  }

  /** The broker accepts the token, or there is no connection. */
  private async connect(frame: ClientFrame): Promise<void> {
    try {
      await this.calls.post('/publish', { messages: [] }, this.aborts.signal);
      this.reply(frame, 'connected', { connection: '', ping_interval: 0, server: '' });
    } catch (error) {
      this.fail(error);
    }
  }

  /** Processes the queue: a publication leaves after the joins before it, everything else after the publications before it. */
  private work(): void {
    while (this.queue.length > 0 && this.publishing.length === 0 && !this.aborts.signal.aborted) {
      if (this.queue[0]!.type !== 'publish') {
        void this.start(this.queue.shift()!);
      } else if (this.joins > 0) {
        return;
      } else {
        const end = this.queue.findIndex(({ type }) => type !== 'publish');
        void this.publish(this.queue.splice(0, Math.min(end < 0 ? BATCH : end, BATCH))).then(() => this.work());
      }
    }
  }

  private async start(frame: ClientFrame): Promise<void> {
    switch (frame.type) {
      case 'history': return this.attempt(frame, () => this.history(frame));
      case 'presence': return this.attempt(frame, () => this.presence(frame));
      case 'request': return this.attempt(frame, () => this.request(frame));
      case 'subscribe': {
        this.joins += 1;
        await this.attempt(frame, () => this.join(frame));
        return this.joined();
      }
      default: return this.refuse(frame, new FanwireError('unavailable', `${frame.type} needs a WebSocket, which does not get through`));
    }
  }

  /** Ends a join. The last of several restarts the receiver for all. Topics without positions are joined when it has restarted. */
  private async joined(): Promise<void> {
    this.isStale = true;
    while (this.joins === 1 && this.isStale && !this.aborts.signal.aborted) {
      this.isStale = false;
      const late = this.late.splice(0);
      await this.receiver.restart();
      for (const frame of late) this.reply(frame, 'subscribed', { topic: frame['topic'], recovered: !this.receiver.isLossy });
    }
    this.joins -= 1;
    this.work();
  }

  /** Joins one topic. */
  private async join(frame: ClientFrame): Promise<void> {
    const { topic, since, last } = frame as { topic?: string; since?: FramePlace; last?: number };
    if (this.places.size >= TOPICS_MAX && !this.places.has(topic!)) {
      throw new FanwireError('limit_exceeded', `without WebSocket, the maximum is ${TOPICS_MAX} topics`);
    }
    const livesOnly = since === undefined && last === undefined;
    let page: Page | undefined;
    try {
      if (!isPattern(topic!)) page = await this.readAll(topic!, since, Math.min(last || (livesOnly || last === 0 ? 1 : PAGE), PAGE));
      else if (livesOnly) await this.probe(topic!);
      else throw new FanwireError('bad_topic', `the pattern '${topic}' cannot begin in the past`);
    } catch (error) {
      if (!livesOnly || (error as FanwireError).code !== 'history_off') throw error;
    }
    const place = page && placeOf(page.cursor);
    this.places.set(topic!, place);
    if (!place) return void this.late.push(frame);
    this.reply(frame, 'subscribed', { topic, ...place, recovered: !page!.gap });
    if (!livesOnly && last !== 0) for (const entry of page!.messages) this.message(entry as never);
  }

  private async catchUp(topic: string, since: Position, isReported: boolean): Promise<void> {
    this.joins += 1;
    try {
      const page = await this.readAll(topic, since, PAGE);
      if (this.places.has(topic)) this.places.set(topic, placeOf(page.cursor));
      if (page.gap && !isReported) this.lost(topic);
      for (const entry of page.messages) this.message(entry as never);
    } finally {
      void this.joined();
    }
  }

  /** Reads a topic's history: after `since` to its end, or else the newest `limit`. */
  private async readAll(topic: string, since: FramePlace | undefined, limit: number): Promise<Page> {
    let from = since;
    const all: Page = { messages: [], cursor: '', gap: false, more: false };
    do {
      const page = await this.page(topic, String(limit), from);
      all.messages.push(...page.messages);
      all.gap ||= page.gap;
      all.cursor = from = page.cursor;
      all.more = page.more && since !== undefined;
    } while (all.more);
    return all;
  }

  private async history(frame: ClientFrame): Promise<void> {
    const { topic, since, limit = 100, reverse } = frame as { topic?: string; since?: FramePlace; limit?: number; reverse?: boolean };
    const page = await this.page(topic!, `${Math.min(limit, PAGE)}${reverse ? '&reverse=true' : ''}`, since ?? (reverse ? undefined : 'earliest'));
    page.messages.forEach((entry) => unpack(entry as never));
    this.reply(frame, 'history', { ...page, ...(page.more || reverse ? {} : placeOf(page.cursor)), topic });
  }

  private async presence(frame: ClientFrame): Promise<void> {
    const page = await this.read<{ members: Record<string, unknown>[] }>(`/topics/${encodeURIComponent(String(frame['topic']))}/presence`);
    page.members.forEach(unpack);
    this.reply(frame, 'presence', page);
  }

  private async request(frame: ClientFrame): Promise<void> {
    const method = String(frame['method']);
    // A URL has no other form for these: its path would lead elsewhere.
    if (/^\.?\.?$/.test(method)) throw new FanwireError('bad_frame', `the method '${method}' needs a WebSocket: give it another name`);
    const data = await this.calls.request(`/request/${encodeURIComponent(method)}`, frame['data'], this.aborts.signal);
    this.reply(frame, 'response', { data });
  }

  private page(topic: string, limit: string, since: FramePlace | undefined): Promise<Page> {
    return this.read(`/topics/${encodeURIComponent(topic)}?limit=${limit}${placeInUrl(since)}`);
  }

  /** Rejects if the broker does not let this client receive a topic or pattern. */
  private probe(topic: string): Promise<Page> {
    return this.read(`/stream?wait=0&${topicsOf([topic])}`);
  }

  private read<T>(path: string): Promise<T> {
    return this.withRoom(this.calls.read(path, this.aborts.signal));
  }

  /** Publishes a batch in one call. If that is refused, each is published alone, so that only the cause is refused. */
  private async publish(batch: ClientFrame[]): Promise<void> {
    this.publishing = batch;
    const refusal = await this.publishTogether(batch);
    if (refusal) {
      for (const frame of batch) {
        const error = batch.length === 1 ? refusal : await this.publishTogether([frame]);
        if (error) this.refuse(frame, error);
      }
    }
    this.publishing = [];
    for (const entry of this.held.splice(0)) this.message(entry);
  }

  /** Returns why the broker refused the call. */
  private async publishTogether(batch: ClientFrame[]): Promise<FanwireError | undefined> {
    const messages = batch.map(({ topic, data, key }) => toWire({ topic, data, key }));
    try {
      const { results } = await this.withRoom(this.calls.post<{ results: Record<string, unknown>[] }>('/publish', { messages }, this.aborts.signal));
      batch.forEach((frame, index) => this.published(frame, results[index] ?? {}));
    } catch (error) {
      if (error instanceof FanwireError && error.status !== 401) return error;
      this.fail(error);
    }
    return undefined;
  }

  private published(frame: ClientFrame, result: Record<string, unknown>): void {
    const error = result['error'] as { code: FanwireError['code']; message: string } | undefined;
    if (error) return this.refuse(frame, new FanwireError(error.code, error.message));
    this.reply(frame, 'published', result);
  }

  private restart(): void {
    this.isStale = true;
    if (this.joins === 0 && !this.aborts.signal.aborted) void this.receiver.restart();
  }

  /** Waits for a call. If that takes long, the receiver gives up its connection, which may be the last one of the browser. */
  private async withRoom<T>(call: Promise<T>): Promise<T> {
    if (!isBrowser()) return call;
    let isReleased = false;
    const cancel = this.clock.after([...this.places.values()].includes(undefined) ? CROWDED_LOSSY_MS : CROWDED_MS, () => {
      isReleased = true;
      this.receiver.release();
    });
    try {
      return await call;
    } finally {
      cancel();
      if (isReleased) this.restart();
    }
  }

  private async attempt(frame: ClientFrame, work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      if (error instanceof CallLost || (error instanceof FanwireError && error.status === 401)) this.fail(error);
      else this.refuse(frame, asError(error, 'bad_frame', frame.type));
    }
  }

  private reply(frame: ClientFrame, type: string, fields: object): void {
    const answer = { type, id: frame.id, ...fields } as never;
    if (frame.id !== undefined && !this.aborts.signal.aborted) this.listener.frame(answer);
  }

  private refuse(frame: ClientFrame, { code, message }: FanwireError): void {
    this.reply(frame, 'error', { code, message });
  }
}

function placeOf(cursor: string): Position {
  const [epoch, offset] = cursor.split(':');
  return { epoch: epoch!, offset: Number(offset) };
}
