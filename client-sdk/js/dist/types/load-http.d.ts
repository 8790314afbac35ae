import type { linkOverHttp } from './http.js';
/** Loads the connection over HTTP. */
export declare function loadHttp(_base: string): Promise<{
    linkOverHttp: typeof linkOverHttp;
}>;
