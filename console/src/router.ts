//! The part of the address behind '#', as a path and parameters, so that every view has a link.

import { useEffect, useState } from 'preact/hooks';

/** A view of the console. */
export interface Place {
  /** The segments of the path, decoded. */
  path: string[];
  parameters: URLSearchParams;
}

/** Returns the view that an address names. */
export function parsePlace(hash: string): Place {
  const [path = '', query = ''] = splitOnce(hash.replace(/^#/, ''), '?');
  const segments = path.split('/').filter((segment) => segment !== '');
  return { path: segments.map(decode), parameters: new URLSearchParams(query) };
}

/** Returns the address of a view. Empty parameters are left out. */
export function hrefOf(path: string[], parameters: Record<string, string | undefined> = {}): string {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(parameters)) if (value) query.set(name, value);
  const text = query.toString();
  return `#/${path.map(encodeURIComponent).join('/')}${text && `?${text}`}`;
}

/** Changes the parameters of the current view without a new entry in the browser history. */
export function replaceParameters(path: string[], parameters: Record<string, string | undefined>): void {
  history.replaceState(null, '', hrefOf(path, parameters));
}

/** Returns the current view. The component renders again when it changes. */
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
