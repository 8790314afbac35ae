//! Tokens: where they come from, and when a new one is due. Only the broker knows what they allow.

import { fromBase64 } from './base64.ts';
import type { Clock } from './clock.ts';
import { asError, FanwireError } from './errors.ts';

/** Why a token is requested: for a connection, because the present token ends soon, or because the broker refused it. */
export type TokenReason = 'connect' | 'expiring' | 'refused';

/** A token, or a function that returns one. The function is called for every connection, and before the token ends. */
export type TokenSource = string | ((reason: TokenReason) => string | Promise<string>);

/** How long before its end a token is renewed, in milliseconds. A short-lived one is renewed after nine tenths of its life. */
const EARLY_MS = 30_000;

/** The minimum time between two renewals, in milliseconds. */
const RENEWAL_MIN_MS = 1000;

/** The credentials of one client. */
export class Credentials {
  /** The present token. */
  current: string | undefined;

  constructor(private readonly source: TokenSource | undefined, private readonly clock: Clock, private readonly timeoutMs: number) {
    if (typeof source === 'string') this.current = source;
  }

  /** Whether there is a function that can return another token. */
  get isRenewable(): boolean {
    return typeof this.source === 'function';
  }

  /** Returns a token. Rejects with a `FanwireError` when the application's function fails, or does not settle in time. */
  async fetch(reason: TokenReason): Promise<string | undefined> {
    const { source, timeoutMs } = this;
    if (typeof source !== 'function') return this.current;
    let cancel = () => {};
    try {
      const late = new Promise<never>((_, reject) => {
        cancel = this.clock.after(timeoutMs, () => reject(new FanwireError('timeout', `the token function did not settle within ${timeoutMs} ms`)));
      });
      this.current = asToken(await Promise.race([source(reason), late]));
    } catch (thrown) {
      throw asError(thrown, 'unavailable', 'the token function failed');
    } finally {
      cancel();
    }
    return this.current;
  }

  /**
   * Returns the milliseconds until the present token should be renewed; undefined when it names no end, or when its end is past by the clock of this
   * machine, which is then wrong: the broker ends the session when the token ends.
   */
  renewalMs(now: number): number | undefined {
    const end = this.isRenewable ? expiryMs(this.current) : undefined;
    if (end === undefined || end <= now) return undefined;
    const left = end - now;
    return Math.max(left - EARLY_MS, left * 0.9, RENEWAL_MIN_MS);
  }
}

/** Returns when a JWT ends (RFC 7519 §4.1.4), in milliseconds since 1970; undefined for any other token. */
export function expiryMs(token: string | undefined): number | undefined {
  try {
    const claims = JSON.parse(new TextDecoder().decode(fromBase64(token!.split('.')[1]!))) as { exp?: unknown };
    return typeof claims.exp === 'number' ? claims.exp * 1000 : undefined;
  } catch {
    return undefined;
  }
}

function asToken(token: unknown): string {
  if (typeof token === 'string') return token;
  throw new FanwireError('bad_option', `the token function returned ${token === null ? 'null' : `of type ${typeof token}`}: a token must be a string`);
}
