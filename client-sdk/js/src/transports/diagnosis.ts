//! Finds out why there is no connection. Browsers do not say why a WebSocket failed, so this sends a request over HTTP.

import type { Address } from '../address.ts';
import { type ErrorCode, FanwireError } from '../errors.ts';
import { isOffline } from '../wake.ts';

/** The time-out for an answer, in milliseconds. */
const ANSWER_MS = 5000;

/** The `fetch` that is used. */
export type Fetch = typeof fetch;

/** Why there is no way to the broker. */
export interface Diagnosis {
  error: FanwireError;
  /** Whether an unchanged attempt would fail again. */
  isFinal: boolean;
}

/** Returns why there is no way to the broker over HTTP; undefined if there is one. */
export async function diagnose(address: Address, fetch: Fetch): Promise<Diagnosis | undefined> {
  const url = `${address.http}/healthz`;
  const request = async () => fetch(url, { cache: 'no-store', signal: AbortSignal.timeout(ANSWER_MS) });
  let response: Response;
  try {
    response = await request();
  } catch (cause) {
    const blocked = blockedByPage(address);
    if (blocked) return blocked;
    // An answer that the page may not read is the broker's if its icon loads. Then a second answer tells whether the broker has just started.
    const again = await hasIcon(address) && request();
    if (!again) return unreachable(address, cause);
    const answer = await again.catch(() => undefined);
    if (!answer) return originRefused(address);
    response = answer;
  }
  const text = await response.text().catch(() => '');
  if (response.ok && text.startsWith('alive')) return undefined;
  const { status } = response;
  const problem = problemIn(text);
  if (problem || status >= 500) {
    const error = new FanwireError(problem?.code ?? 'unavailable', problem?.detail ?? `${url} answered ${status}`, { status });
    return { error, isFinal: status < 500 };
  }
  return {
    error: new FanwireError('not_a_broker', `there is no fanwire broker at ${address.http}: ${url} answered ${status}. Check the address`, { status }),
    isFinal: true,
  };
}

/** Returns the broker's reason, if the text is a problem (RFC 9457) of the broker. */
function problemIn(text: string): { code: ErrorCode; detail: string } | undefined {
  try {
    const problem = JSON.parse(text) as { code?: ErrorCode; detail?: string };
    return problem.code && problem.detail ? { code: problem.code, detail: problem.detail } : undefined;
  } catch {
    return undefined;
  }
}

/** Browsers let a page load images of any host, but do not show other answers to it. */
function hasIcon(address: Address): Promise<boolean> {
  return new Promise((resolve) => {
    if (typeof Image === 'undefined') return resolve(false);
    const image = new Image();
    image.onload = () => resolve(true);
    image.onerror = () => resolve(false);
    setTimeout(() => resolve(false), ANSWER_MS);
    image.src = `${address.http}/favicon.svg?${Date.now()}`;
  });
}

function unreachable(address: Address, cause: unknown): Diagnosis {
  const why = isOffline() ? 'this device is offline' : 'no server answers. Check the address, http or https included, and that the broker runs';
  return { error: new FanwireError('unreachable', `cannot reach ${address.http}: ${why}`, { cause }), isFinal: false };
}

/** A page with https may not speak to a host without, except for the machine itself. */
function blockedByPage({ http }: Address): Diagnosis | undefined {
  if (globalThis.location?.protocol !== 'https:' || !/^http:\/\/(?!localhost\b|127\.|\[::1\])/.test(http)) return undefined;
  const message = `a page with https cannot connect to ${http}: use an https address, and TLS on the broker`;
  return { error: new FanwireError('bad_url', message), isFinal: true };
}

function originRefused(address: Address): Diagnosis {
  const origin = String(globalThis.location?.origin);
  const what = !origin.startsWith('http')
    ? 'files or sandboxed frames: open the page over http, for example with `php -S localhost:8000`'
    : `'${origin}': add it to 'origins' in the broker's configuration`;
  return { error: new FanwireError('forbidden', `${address.http} does not accept pages from ${what}`, { status: 403 }), isFinal: true };
}
