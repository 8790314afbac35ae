//! Finds out why a connection cannot be made. Browsers do not say why a WebSocket failed, so this asks over HTTP.

import type { Address } from '../address.ts';
import { FanwireError } from '../errors.ts';
import { isOffline } from '../wake.ts';

/** How long the broker may take to answer, in milliseconds. */
const ANSWER_MS = 5000;

/** The `fetch` that is used. */
export type Fetch = typeof fetch;

/** What is wrong with the way to the broker. */
export interface Diagnosis {
  error: FanwireError;
  /** Whether trying again unchanged would end the same way. */
  isFinal: boolean;
}

/** Asks whether the broker is there; undefined when it is, and speaks to this page over HTTP. */
export async function diagnose(address: Address, fetch: Fetch): Promise<Diagnosis | undefined> {
  const url = `${address.http}/healthz`;
  const ask = (mode: RequestMode) =>
    fetch(url, { mode, cache: 'no-store', signal: AbortSignal.timeout(ANSWER_MS) });
  let response: Response;
  try {
    response = await ask('cors');
  } catch (cause) {
    // An answer that this page may not read shows that somebody is there all the same.
    const isThere = typeof document !== 'undefined' && await ask('no-cors').then(() => true, () => false);
    return isThere ? originRefused(address) : unreachable(address, cause);
  }
  const text = await response.text().catch(() => '');
  if (response.ok && text.startsWith('alive')) return undefined;
  const { status } = response;
  if (status >= 500) return { error: new FanwireError('unavailable', `${url} answered ${status}`, { status }), isFinal: false };
  return {
    error: new FanwireError('not_a_broker', `there is no fanwire broker at ${address.http}: ${url} answered ${status}. Check the address`, { status }),
    isFinal: true,
  };
}

function unreachable(address: Address, cause: unknown): Diagnosis {
  const why = isOffline() ? 'this device is offline' : 'nobody answers. Check the address, and that the broker runs';
  return { error: new FanwireError('unreachable', `cannot reach ${address.http}: ${why}`, { cause }), isFinal: false };
}

function originRefused(address: Address): Diagnosis {
  const message = `${address.http} answers, but not to pages from '${globalThis.location?.origin}': add it to 'origins' in the broker's configuration`;
  return { error: new FanwireError('forbidden', message, { status: 403 }), isFinal: true };
}
