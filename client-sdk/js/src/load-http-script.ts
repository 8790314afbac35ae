//! Loads `fanwire-http.mjs` for the plain script: from where the script came from, or else from the broker.

import type { linkOverHttp } from './http.ts';

const source = globalThis.document?.currentScript?.getAttribute('src') ? (document.currentScript as HTMLScriptElement).src : undefined;
let failures = 0;

/** Loads the connection over HTTP. A browser does not load a URL again that failed, so every new attempt has another URL. */
export function loadHttp(base: string): Promise<{ linkOverHttp: typeof linkOverHttp }> {
  const { href } = new URL(`fanwire-http.mjs${failures > 0 ? `?${failures}` : ''}`, source ?? `${base}/`);
  return import(href).catch((error: unknown) => {
    failures += 1;
    throw error;
  }) as Promise<{ linkOverHttp: typeof linkOverHttp }>;
}
