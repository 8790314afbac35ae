import type { Address } from '../address.js';
import { FanwireError } from '../errors.js';
/** The `fetch` that is used. */
export type Fetch = typeof fetch;
/** Why there is no way to the broker. */
export interface Diagnosis {
    error: FanwireError;
    /** Whether an unchanged attempt would fail again. */
    isFinal: boolean;
}
/** Returns why there is no way to the broker over HTTP; undefined if there is one. */
export declare function diagnose(address: Address, fetch: Fetch): Promise<Diagnosis | undefined>;
