//! Loads `fanwire-http.mjs` for the plain script: from where the script came from, or if it is not there, from the broker.

import type { linkOverHttp } from './http.ts';

const source = (globalThis.document?.currentScript as HTMLScriptElement | null | undefined)?.src;
let failures = 0;

/** Loads the connection over HTTP. A browser does not load a URL again that failed, so every new attempt has another URL. */
export function loadHttp(base: string): Promise<{ linkOverHttp: typeof linkOverHttp }> {
  const name = `fanwire-http.mjs${failures ? `?${failures}` : ''}`;
  return import(new URL(name, source || `${base}/`).href).catch(() => import(`${base}/${name}`)).catch((error: unknown) => {
    failures += 1;
    throw error;
  }) as Promise<{ linkOverHttp: typeof linkOverHttp }>;
}
