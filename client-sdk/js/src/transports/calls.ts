//! Calls of the broker's HTTP interface (docs/http.md): adds the token, and makes errors of what the broker refuses.

import type { Credentials } from '../credentials.ts';
import { type ErrorCode, FanwireError } from '../errors.ts';
import type { Fetch } from './diagnosis.ts';

/** The HTTP interface of one broker. */
export class Calls {
  constructor(private readonly base: string, private readonly fetch: Fetch, private readonly credentials: Credentials) {}

  /** Sends a request to `path`; rejects with a `FanwireError` when the broker refuses it, and as `fetch` does when nobody answers. */
  async send(path: string, init: RequestInit & { headers?: Record<string, string> } = {}): Promise<Response> {
    const token = this.credentials.current;
    const headers = { ...init.headers, ...(token === undefined ? {} : { Authorization: `Bearer ${token}` }) };
    const response = await this.fetch(this.base + path, { cache: 'no-store', ...init, headers });
    if (response.ok) return response;
    const problem = await response.json().catch(() => ({})) as { code?: ErrorCode; detail?: string };
    const { status } = response;
    throw new FanwireError(problem.code ?? (status >= 500 ? 'unavailable' : 'bad_frame'), problem.detail ?? `the answer was ${status}`, { status });
  }

  /** Asks for JSON. */
  async read<T>(path: string, signal: AbortSignal): Promise<T> {
    return await (await this.send(path, { signal })).json() as T;
  }

  /** Sends JSON and reads the answer. */
  async post<T>(path: string, body: unknown, signal: AbortSignal): Promise<T> {
    return await this.ask(path, body, signal) as T;
  }

  /** Sends a payload, bytes as they are and all else as JSON; the payload that is the answer. */
  async ask(path: string, data: unknown, signal: AbortSignal): Promise<unknown> {
    const isBytes = data instanceof Uint8Array;
    const headers: Record<string, string> = isBytes ? {} : { 'Content-Type': 'application/json' };
    const response = await this.send(path, { method: 'POST', headers, body: isBytes ? data as BodyInit : JSON.stringify(data), signal });
    const type = response.headers.get('Content-Type') ?? '';
    if (type.startsWith('text')) return response.text();
    return type.endsWith('json') ? response.json() : new Uint8Array(await response.arrayBuffer());
  }
}
