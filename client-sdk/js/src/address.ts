//! The address of a broker: reads the forms that people write (`ws://host:port/ws`, `http://host:port`, `/live`, nothing).

import { FanwireError } from './errors.ts';

/** A broker's address. */
export interface Address {
  /** The prefix of `/topics/…` and other paths, such as `http://host:7400` or `https://host/live`. */
  http: string;
  /** The URL of the WebSocket protocol. */
  websocket: string;
}

/**
 * Reads an address. A relative one, such as `/live` or an empty one, means the host of the page at `page`. Throws a `FanwireError` with
 * code `bad_url`. Its message does not repeat the address, which could hold a secret.
 */
export function parseAddress(text: string, page?: string): Address {
  const bad = (why: string) =>
    new FanwireError('bad_url', `connect() needs an address such as 'https://example.org': ${why}`);
  let url: URL;
  try {
    url = new URL(/^[\w.-]+:\d+(\/|$)/.test(text) ? `http://${text}` : text || '/', page);
  } catch {
    throw bad('this is not a URL');
  }
  if (url.username || url.password || url.search || url.hash || text.startsWith('[object')) {
    throw bad('it has a user name, query or fragment, or is an object; a token is an option');
  }
  if (!/^(http|ws)s?:$/.test(url.protocol)) throw bad(`${url.protocol} is neither http nor ws; pass the full address`);
  const isSecure = /^(https|wss):/.test(url.protocol);
  const base = url.host + url.pathname.replace(/\/+$/, '').replace(/\/ws$/, '');
  const exact = url.protocol.startsWith('ws') && url.pathname.length > 1;
  return {
    http: `http${isSecure ? 's' : ''}://${base}`,
    websocket: `ws${isSecure ? 's' : ''}://${exact ? url.host + url.pathname : `${base}/ws`}`,
  };
}
