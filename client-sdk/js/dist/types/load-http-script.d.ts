import type { linkOverHttp } from './http.js';
/** Loads the connection over HTTP. A browser does not load a URL again that failed, so every new attempt has another URL. */
export declare function loadHttp(base: string): Promise<{
    linkOverHttp: typeof linkOverHttp;
}>;
