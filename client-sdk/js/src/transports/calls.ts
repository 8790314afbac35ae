//! Calls of the broker's HTTP interface (docs/http.md): adds the token, and makes errors of refusals.

import type { Clock } from '../clock.ts';
import { type ErrorCode, FanwireError, textOf } from '../errors.ts';
import { toJson } from '../frames.ts';
import type { Fetch } from './diagnosis.ts';

/** A refusal, with the wait that the broker named in `Retry-After`. */
export class Refusal extends FanwireError {
  afterMs: number | undefined;
}

/** A call that failed on its way. The broker may or may not have processed it. */
export class CallLost extends Error {}

/** The codes of answers that are not the broker's, such as those of a proxy. */
const CODES: Partial<Record<number, ErrorCode>> = { 401: 'unauthorized', 403: 'forbidden', 413: 'too_large', 429: 'rate_limited' };

/** The time-out of a call that is not a stream or a poll, in milliseconds. */
const CALL_MS = 30_000;

/** The HTTP interface of one broker. */
export class Calls {
  constructor(private readonly base: string, private readonly fetch: Fetch, private readonly token: () => string | undefined, private readonly clock: Clock) {}

  /** Sends a request to `path`. Rejects with a `FanwireError` when it is refused, and with `CallLost` when there is no answer. */
  async send(path: string, init: RequestInit & { headers?: Record<string, string> } = {}): Promise<Response> {
    const token = this.token();
    const headers = { ...init.headers, ...(token === undefined ? {} : { Authorization: `Bearer ${token}` }) };
    const response = await this.fetch(this.base + path, { cache: 'no-store', ...init, headers }).catch(lost);
    if (response.ok) return response;
    const problem = await response.json().catch(() => ({})) as { code?: ErrorCode; detail?: string };
    const { status } = response;
    if (!problem.code && status >= 500) throw new CallLost(`the answer was ${status}`);
    const refusal = new Refusal(problem.code ?? CODES[status] ?? 'not_a_broker', problem.detail ?? `the answer was ${status}, which is not the broker's`, { status });
    // Seconds (RFC 9110, section 10.2.3). The broker does not send its other form, a date.
    if (status >= 429) refusal.afterMs = Number(response.headers.get('Retry-After') ?? NaN) * 1000 || undefined;
    throw refusal;
  }

  /** Sends a request and reads the JSON of the answer. */
  read<T>(path: string, signal: AbortSignal, init: RequestInit = {}, ms = CALL_MS): Promise<T> {
    return this.within(ms, signal, path, init as RequestInit & { headers?: Record<string, string> }, (response) => response.json()) as Promise<T>;
  }

  /** Sends JSON and reads the JSON of the answer. */
  post<T>(path: string, body: unknown, signal: AbortSignal): Promise<T> {
    return this.request(path, body, signal) as Promise<T>;
  }

  /** Sends a payload, bytes as they are and others as JSON. Returns the payload of the answer. */
  request(path: string, data: unknown, signal: AbortSignal): Promise<unknown> {
    const isBytes = data instanceof Uint8Array;
    const headers: Record<string, string> = isBytes ? {} : { 'Content-Type': 'application/json' };
    return this.within(CALL_MS, signal, path, { method: 'POST', headers, body: isBytes ? data as BodyInit : toJson(data) }, async (response) => {
      const type = response.headers.get('Content-Type') ?? '';
      if (type.startsWith('text')) return response.text();
      return type.endsWith('json') ? response.json() : new Uint8Array(await response.arrayBuffer());
    });
  }

  /** Sends a request and reads its answer within `ms`. The listener on `signal` lives as long as the call. */
  private async within(ms: number, signal: AbortSignal, path: string, init: RequestInit & { headers?: Record<string, string> }, read: (response: Response) => Promise<unknown>): Promise<unknown> {
    const aborts = new AbortController();
    const abort = () => aborts.abort();
    const cancel = this.clock.after(ms, () => aborts.abort(new Error(`no answer within ${ms} ms`)));
    signal.addEventListener('abort', abort);
    try {
      return await read(await this.send(path, { ...init, signal: aborts.signal })).catch((error: unknown) => {
        if (error instanceof SyntaxError) throw new FanwireError('not_a_broker', `the answer to ${path} is not the broker's`);
        return lost(error);
      });
    } finally {
      cancel();
      signal.removeEventListener('abort', abort);
    }
  }
}

function lost(error: unknown): never {
  throw new CallLost(textOf(error));
}
