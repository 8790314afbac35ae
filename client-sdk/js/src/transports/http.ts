//! The protocol where no WebSocket gets through: requests become HTTP calls, and what is subscribed to is received by a stream or
//! by long polling (`receiver`). Above this, nobody notices.
//!
//! Each topic is joined by reading its history, which says where it stands; receiving goes on from there.

import { placeInUrl } from '../cursor.ts';
import { FanwireError } from '../errors.ts';
import { type ClientFrame, type FramePlace, fromWire, type Position, positionIn, toWire, unpack } from '../frames.ts';
import type { Link, LinkEnd, LinkListener } from '../link.ts';
import { isPattern } from '../topic.ts';
import type { Calls } from './calls.ts';

/** How many topics the broker takes in one stream or poll. */
const TOPICS_MAX = 64;

/** How many publications are read in one call at most. */
const PAGE = 1000;

/** How many are published in one call at most. Even of the largest, the broker takes so many. */
const BATCH = 10;

/** What the broker answers to whoever reads history or polls. */
export interface Page {
  messages: { topic: string; epoch: string; offset: number }[];
  cursor: string;
  gap: boolean;
  more: boolean;
}

/** Where this link is in each topic or pattern it receives; undefined where there are no positions. */
export type Places = Map<string, Position | undefined>;

/** What brings the publications of the topics that were joined. */
export interface Receiver {
  /** Whether something may be missed of topics without places even while all is well. */
  readonly isLossy: boolean;
  /** The topics or their places have changed: go on with these. */
  restart(): void;
  /** The machine may have slept: fail the link if it is silent for longer than it should be. */
  check(): void;
}

/** A link over HTTP. */
export class HttpLink implements Link {
  readonly places: Places = new Map();
  /** Ends every call under way. */
  readonly aborts = new AbortController();
  private receiver: Receiver | undefined;
  private joins = 0;
  private readonly publishing: ClientFrame[] = [];
  private isPublishing = false;
  /** Publications that wait until it is known whether they are this side's own, which it does not want to hear. */
  private readonly held: Record<string, unknown>[] = [];

  constructor(private readonly calls: Calls, private readonly listener: LinkListener, makeReceiver: (link: HttpLink) => Receiver) {
    this.receiver = makeReceiver(this);
  }

  send(frame: ClientFrame): void {
    const topic = String(frame['topic']);
    switch (frame.type) {
      case 'connect': return this.reply(frame, 'connected', { connection: '', ping_interval: 0, server: '' });
      case 'subscribe': return this.attempt(frame, this.join(frame, topic));
      case 'unsubscribe': {
        if (this.places.delete(topic)) this.restart();
        return this.reply(frame, 'unsubscribed', { topic });
      }
      case 'publish': {
        this.publishing.push(frame);
        return void this.publish();
      }
      case 'history': return this.attempt(frame, this.history(frame, topic));
      case 'presence': return this.attempt(frame, this.presence(frame, topic));
      case 'request': return this.attempt(frame, this.request(frame));
      // The next call has the new token with it already.
      case 'refresh': return this.reply(frame, 'refreshed', { expires: 0 });
      case 'ping': return this.reply(frame, 'pong', {});
      default: return this.refuse(frame, new FanwireError('unavailable', `${frame.type} needs a WebSocket, which does not get through`));
    }
  }

  close(): void {
    this.aborts.abort();
  }

  check(): void {
    this.receiver?.check();
  }

  /** A publication, a poll's or a stream's: remembers where its topic is, and passes it on. */
  message(entry: Record<string, unknown>): void {
    if (this.publishing.some((frame) => frame['echo'] === false && frame['topic'] === entry['topic'])) {
      this.held.push(entry);
      return;
    }
    const topic = String(entry['topic']);
    const position = positionIn(entry as never);
    if (position && this.places.get(topic)) this.places.set(topic, position);
    this.listener.frame(fromWire({ ...entry, type: 'message' }));
  }

  /** Something came that is no publication. */
  alive(): void {
    this.listener.alive();
  }

  /** What lies between here and now in a topic is in doubt: finds out, tells unless it `isTold`, and goes on from there. */
  rejoin(topic: string, isTold = false): void {
    const since = this.places.get(topic);
    if (since) this.catchUp(topic, since, isTold).catch((error: unknown) => this.fail(error));
  }

  /** Something was or may have been missed. */
  lost(topic: string, missed?: number): void {
    this.listener.frame({ type: 'lagged', topic, ...(missed === undefined ? {} : { missed }) });
  }

  /** Ends the link, unless it has ended. */
  fail(thrown: unknown, end: Partial<LinkEnd> = {}): void {
    if (this.aborts.signal.aborted) return;
    this.aborts.abort();
    const error = thrown instanceof FanwireError && [401, 403].includes(thrown.status ?? 0) ? thrown : undefined;
    this.listener.ended({ reason: thrown instanceof Error ? thrown.message : String(thrown), error, ...end });
  }

  private async join(frame: ClientFrame, topic: string): Promise<void> {
    if (this.places.size >= TOPICS_MAX && !this.places.has(topic)) {
      throw new FanwireError('limit_exceeded', `without WebSocket, ${TOPICS_MAX} topics at most`);
    }
    const { since, last } = frame as { since?: FramePlace; last?: number };
    const livesOnly = since === undefined && last === undefined;
    let page: Page | undefined;
    this.joins += 1;
    try {
      if (!isPattern(topic)) page = await this.read(topic, since, last || (livesOnly || last === 0 ? 1 : PAGE));
      else if (!livesOnly) throw new FanwireError('bad_topic', `the pattern '${topic}' cannot begin in the past`);
    } catch (error) {
      if (!livesOnly || (error as FanwireError).code !== 'history_off') throw error;
    } finally {
      this.joins -= 1;
    }
    const place = page && placeOf(page.cursor);
    this.places.set(topic, place);
    this.reply(frame, 'subscribed', { topic, ...place, recovered: page ? !page.gap : !this.receiver?.isLossy });
    if (!livesOnly && last !== 0) for (const entry of page!.messages) this.message(entry as never);
    this.restart();
  }

  private async catchUp(topic: string, since: Position, isTold: boolean): Promise<void> {
    this.joins += 1;
    const page = await this.read(topic, since, PAGE);
    if (this.places.has(topic)) this.places.set(topic, placeOf(page.cursor));
    if (page.gap && !isTold) this.lost(topic);
    for (const entry of page.messages) this.message(entry as never);
    this.joins -= 1;
    this.restart();
  }

  /** Reads a topic's history: after `since` to its end, or else the newest `limit`. */
  private async read(topic: string, since: FramePlace | undefined, limit: number): Promise<Page> {
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

  private async history(frame: ClientFrame, topic: string): Promise<void> {
    const { since, limit = 100, reverse } = frame as { since?: FramePlace; limit?: number; reverse?: boolean };
    const page = await this.page(topic, `${limit}${reverse ? '&reverse=true' : ''}`, since ?? (reverse ? undefined : 'earliest'));
    page.messages.forEach((entry) => unpack(entry as never));
    this.reply(frame, 'history', { ...page, ...(page.more || reverse ? {} : placeOf(page.cursor)), topic });
  }

  private async presence(frame: ClientFrame, topic: string): Promise<void> {
    const page = await this.calls.read<{ members: Record<string, unknown>[] }>(`/topics/${encodeURIComponent(topic)}/presence`, this.aborts.signal);
    page.members.forEach(unpack);
    this.reply(frame, 'presence', page);
  }

  private async request(frame: ClientFrame): Promise<void> {
    const data = await this.calls.ask(`/request/${encodeURIComponent(String(frame['method']))}`, frame['data'], this.aborts.signal);
    this.reply(frame, 'response', { data });
  }

  private page(topic: string, limit: string, since: FramePlace | undefined): Promise<Page> {
    return this.calls.read(`/topics/${encodeURIComponent(topic)}?limit=${limit}${placeInUrl(since)}`, this.aborts.signal);
  }

  /** Publishes what waits, in its order, many in one call. */
  private async publish(): Promise<void> {
    if (this.isPublishing) return;
    this.isPublishing = true;
    while (this.publishing.length > 0 && !this.aborts.signal.aborted) {
      const batch = this.publishing.slice(0, BATCH);
      const messages = batch.map(({ topic, data, key }) => toWire({ topic, data, key }));
      try {
        const { results } = await this.calls.post<{ results: Record<string, unknown>[] }>('/publish', { messages }, this.aborts.signal);
        batch.forEach((frame, index) => this.published(frame, results[index] ?? {}));
      } catch (error) {
        if (!(error instanceof FanwireError)) return this.fail(error);
        for (const frame of batch) this.refuse(frame, error);
      }
      this.publishing.splice(0, batch.length);
      for (const entry of this.held.splice(0)) this.message(entry);
    }
    this.isPublishing = false;
  }

  private published(frame: ClientFrame, result: Record<string, unknown>): void {
    const error = result['error'] as { code: FanwireError['code']; message: string } | undefined;
    if (error) return this.refuse(frame, new FanwireError(error.code, error.message));
    this.reply(frame, 'published', result);
  }

  private restart(): void {
    if (this.joins === 0 && !this.aborts.signal.aborted) this.receiver?.restart();
  }

  private attempt(frame: ClientFrame, work: Promise<void>): void {
    work.catch((error: unknown) => {
      if (error instanceof FanwireError && error.status !== 401) this.refuse(frame, error);
      else this.fail(error);
      this.restart();  // Others that joined meanwhile may have waited for this one.
    });
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
