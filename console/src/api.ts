//! The server API as the console uses it: its responses and requests. It does not know the pages.

import { adminKey } from './key.ts';

/** Counts by name. */
export type Counts = Record<string, number>;

/** Totals since the start of the broker. */
export interface Traffic {
  publications: number;
  publication_bytes: number;
  deliveries: number;
  received_bytes: number;
  sent_bytes: number;
}

/** `GET /api/v1/stats`. */
export interface Stats {
  version: string;
  started: number;
  now: number;
  totals: Traffic;
  connections: Counts;
  connections_refused: Counts;
  handshakes: number;
  handshakes_failed: Counts;
  subscriptions: number;
  topics: number;
  history: { publications: number; bytes: number; bytes_max: number; evictions: number };
  outbox_bytes: number;
  outbox_bytes_max: number;
  inbox_bytes: number;
  errors: Counts;
  closes: Counts;
  dropped_deliveries: Counts;
  publishes_refused: Counts;
  latency: { count: number; sum_us: number; buckets: { at_most_us?: number; count: number }[] };
  hooks: { configured: boolean };
  callouts: { total: Counts; us: number; active: number; waiting: number };
  webhooks: { delivered: number; dropped: Counts; retries: number; waiting: number; waiting_bytes: number; oldest_ms: number };
  store: { configured: boolean; failure?: string; queue_bytes: number; commits: number; publications: number; commit_us: number; failures: number };
  key_set: Counts;
  certificate_expires?: number;
  process: Counts;
  workers: (Traffic & { connections: number; subscriptions: number; outbox_bytes: number })[];
}

/** One topic in a list. */
export interface TopicRow {
  topic: string;
  subscribers: number;
  messages: number;
  bytes: number;
  ts?: number;
  members: number;
  durable: boolean;
}

/** `GET /api/v1/topics`. */
export interface TopicList {
  topics: TopicRow[];
  total: number;
  matching: number;
  next?: string;
}

/** `GET /api/v1/topics/{topic}`. */
export interface TopicDetails {
  topic: string;
  exists: boolean;
  rule?: string;
  durable: boolean;
  presence: boolean;
  slow: string;
  rate?: { per_second: number; burst: number };
  history?: { messages?: number; bytes?: number; ttl_ms?: number };
  epoch?: string;
  offset?: number;
  ts?: number;
  messages: number;
  bytes: number;
  subscribers: number;
  pattern_subscribers: number;
  members: number;
}

/** One session in a list. */
export interface SessionRow {
  connection: string;
  user?: string;
  name?: string;
  transport: string;
  address: string;
  opened: number;
  subscriptions: number;
  outbox_bytes: number;
  outbox_bytes_max: number;
  slow: boolean;
}

/** `GET /api/v1/sessions`. */
export interface SessionList {
  sessions: SessionRow[];
  total: number;
  next?: string;
}

/** `GET /api/v1/sessions/{connection}`. */
export interface SessionDetails extends SessionRow {
  topics: string[];
}

/** A refusal of the broker, with its explanation. */
export class ApiError extends Error {
  constructor(readonly status: number, readonly code: string, message: string) {
    super(message);
  }

  /** Whether another key may help. */
  get wantsKey(): boolean {
    return this.status === 401 || this.status === 403;
  }
}

/** Requests `path` of the broker. `key` is sent in place of the kept one. */
export async function request<T>(path: string, init: RequestInit = {}, key = adminKey()): Promise<T> {
  const headers = { ...init.headers, ...(key === undefined ? {} : { Authorization: `Bearer ${key}` }) };
  let response: Response;
  try {
    response = await fetch(path, { cache: 'no-store', ...init, headers });
  } catch (error) {
    if (init.signal?.aborted) throw error;
    throw new ApiError(0, 'unreachable', 'The broker does not answer.');
  }
  if (response.ok) return parseJson(await response.text()) as T;
  throw await refusal(response);
}

/** Reads JSON. A whole number that is too large for a JavaScript number keeps its digits, in browsers that give them to revivers. */
export function parseJson(text: string): unknown {
  const keepDigits = (_: string, value: unknown, context?: { source?: string }) => {
    const isRounded = typeof value === 'number' && Number.isInteger(value) && !Number.isSafeInteger(value);
    return isRounded && /^-?\d+$/.test(context?.source ?? '') ? BigInt(context!.source!) : value;
  };
  return JSON.parse(text, keepDigits);
}

/** Returns the error that a response without success reports. */
export async function refusal(response: Response): Promise<ApiError> {
  const problem = await response.json().catch(() => ({})) as { code?: string; detail?: string };
  return new ApiError(response.status, problem.code ?? 'internal', problem.detail ?? `The broker answered ${response.status}.`);
}

/** One publication of a topic: in its history and in its event stream. */
export interface Message {
  topic: string;
  epoch?: string;
  offset?: number;
  ts?: number;
  from?: string;
  data?: unknown;
  data_base64?: string;
}

/** `GET /topics/{topic}`. */
export interface MessagePage {
  messages: Message[];
  cursor: string;
}

/** Publishes a text, or a JSON document as it was typed. */
export async function publish(topic: string, kind: 'text' | 'json', body: string): Promise<void> {
  await request(paths.messages(topic), { method: 'POST', headers: { 'Content-Type': kind === 'json' ? 'application/json' : 'text/plain; charset=utf-8' }, body });
}

/** Sends a request that changes something. */
export function call<T>(path: string, body: unknown = {}, method = 'POST'): Promise<T> {
  return request<T>(path, { method, headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(body) });
}

/** Returns a query string; empty parameters are left out. */
export function queryOf(parameters: Record<string, string | number | undefined>): string {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(parameters)) if (value !== undefined && value !== '') query.set(name, String(value));
  return `?${query}`;
}

/** The paths of the broker that the console uses. */
export const paths = {
  stats: 'api/v1/stats',
  messages: (topic: string) => `topics/${encodeURIComponent(topic)}`,
  topics: 'api/v1/topics',
  topic: (topic: string) => `api/v1/topics/${encodeURIComponent(topic)}`,
  history: (topic: string) => `api/v1/topics/${encodeURIComponent(topic)}/history`,
  sessions: 'api/v1/sessions',
  session: (connection: string) => `api/v1/sessions/${encodeURIComponent(connection)}`,
  disconnect: (connection: string) => `api/v1/sessions/${encodeURIComponent(connection)}/disconnect`,
};
