//! Loads `fanwire-http.mjs`. The module finds it beside itself, and bundlers find it there, too. The build of the plain script replaces this
//! file by `load-http-script.ts`.

import type { linkOverHttp } from './http.ts';

/** Loads the connection over HTTP. */
export function loadHttp(_base: string): Promise<{ linkOverHttp: typeof linkOverHttp }> {
  return import('./http.ts');
}
