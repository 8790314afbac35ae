//! Where the operator is: the part of the address behind '#', as a path and parameters, so that every view can be linked to.

import { useEffect, useState } from 'preact/hooks';

/** A place in the console. */
export interface Place {
  /** The segments of the path, decoded. */
  path: string[];
  parameters: URLSearchParams;
}

/** The place that an address names. */
export function parsePlace(hash: string): Place {
  const [path = '', query = ''] = splitOnce(hash.replace(/^#/, ''), '?');
  const segments = path.split('/').filter((segment) => segment !== '');
  return { path: segments.map(decode), parameters: new URLSearchParams(query) };
}

/** The address of a place. Parameters that are empty are left out. */
export function hrefOf(path: string[], parameters: Record<string, string | undefined> = {}): string {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(parameters)) if (value) query.set(name, value);
  const text = query.toString();
  return `#/${path.map(encodeURIComponent).join('/')}${text && `?${text}`}`;
}

/** Changes the parameters of the present place without a new entry in the history. */
export function replaceParameters(path: string[], parameters: Record<string, string | undefined>): void {
  history.replaceState(null, '', hrefOf(path, parameters));
}

/** The present place; the component is drawn again when it changes. */
export function usePlace(): Place {
  const [hash, setHash] = useState(location.hash);
  useEffect(() => {
    const changed = () => setHash(location.hash);
    addEventListener('hashchange', changed);
    return () => removeEventListener('hashchange', changed);
  }, []);
  return parsePlace(hash);
}

function splitOnce(text: string, separator: string): [string, string?] {
  const at = text.indexOf(separator);
  return at < 0 ? [text] : [text.slice(0, at), text.slice(at + 1)];
}

function decode(segment: string): string {
  try {
    return decodeURIComponent(segment);
  } catch {
    return segment;
  }
}
