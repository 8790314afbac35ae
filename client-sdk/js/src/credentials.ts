//! Tokens: where they come from and when a new one is due. What they allow, only the broker knows.

import { fromBase64 } from './base64.ts';
import { asError } from './errors.ts';

/** Why a token is asked for: for a connection, because the old one is about to end, or because the broker refused it. */
export type TokenReason = 'connect' | 'expiring' | 'refused';

/** A token, or what gets one: called for every connection, and again before the token ends. */
export type TokenSource = string | ((reason: TokenReason) => string | Promise<string>);

/** How long before its end a token is renewed, at most, in milliseconds; a short-lived one after nine tenths of its life. */
const EARLY_MS = 30_000;

/** The credentials of one client. */
export class Credentials {
  /** The token in use. */
  current: string | undefined;

  constructor(private readonly source: TokenSource | undefined) {
    if (typeof source === 'string') this.current = source;
  }

  /** Whether another token than the present one can be had. */
  get isRenewable(): boolean {
    return typeof this.source === 'function';
  }

  /** Asks for a token. Rejects with a `FanwireError` when the application's function fails. */
  async fetch(reason: TokenReason): Promise<string | undefined> {
    if (typeof this.source !== 'function') return this.current;
    try {
      this.current = await this.source(reason);
    } catch (thrown) {
      throw asError(thrown, 'unavailable', 'the token function failed');
    }
    return this.current;
  }

  /** In how many milliseconds the token in use should be renewed; undefined when it does not say when it ends. */
  renewalMs(now: number): number | undefined {
    const end = this.isRenewable ? expiryMs(this.current) : undefined;
    if (end === undefined) return undefined;
    const left = Math.max(0, end - now);
    return Math.max(left - EARLY_MS, left * 0.9);
  }
}

/** When a JWT ends (RFC 7519 §4.1.4), in milliseconds since 1970; undefined for anything that does not say. */
export function expiryMs(token: string | undefined): number | undefined {
  try {
    const claims = JSON.parse(new TextDecoder().decode(fromBase64(token!.split('.')[1]!))) as { exp?: unknown };
    return typeof claims.exp === 'number' ? claims.exp * 1000 : undefined;
  } catch {
    return undefined;
  }
}
