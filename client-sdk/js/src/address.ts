//! Where a broker is: reads what people write (`ws://host:port/ws`, `http://host:port`, `/live`, nothing) into one form.

import { FanwireError } from './errors.ts';

/** A broker's address. */
export interface Address {
  /** What `/topics/…` and the like are put behind, as in `http://host:7400` or `https://host/live`. */
  http: string;
  /** Where the WebSocket protocol is. */
  websocket: string;
}

/**
 * Reads an address. Relative ones, such as `/live` or an empty one, mean the host of the page at `page`.
 * Throws a `FanwireError` with code `bad_url` that does not repeat the address where it could hold a secret.
 */
export function parseAddress(text: string, page?: string): Address {
  const bad = (why: string) =>
    new FanwireError('bad_url', `connect() needs an address such as 'https://example.org': ${why}`);
  let url: URL;
  try {
    url = new URL(/^[\w.-]+:\d+(\/|$)/.test(text) ? `http://${text}` : text || '/', page);
  } catch {
    throw bad('this is no URL');
  }
  if (url.username || url.password || url.search || url.hash) {
    throw bad('it has a user name, query or fragment; a token belongs into the option `token`');
  }
  if (!['http:', 'https:', 'ws:', 'wss:'].includes(url.protocol)) throw bad(`${url.protocol} is neither http nor ws`);
  const isSecure = url.protocol === 'https:' || url.protocol === 'wss:';
  const base = url.host + url.pathname.replace(/\/+$/, '').replace(/\/ws$/, '');
  const exact = url.protocol.startsWith('ws') && url.pathname.length > 1;
  return {
    http: `http${isSecure ? 's' : ''}://${base}`,
    websocket: `ws${isSecure ? 's' : ''}://${exact ? url.host + url.pathname : `${base}/ws`}`,
  };
}
