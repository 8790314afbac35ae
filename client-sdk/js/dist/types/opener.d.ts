import type { Address } from './address.js';
import type { Clock } from './clock.js';
import type { Credentials } from './credentials.js';
import { type Options } from './options.js';
import { type Opener } from './transports/dialer.js';
/** Returns the opener. `warn` prints. */
export declare function makeOpener(address: Address, options: Options, credentials: Credentials, clock: Clock, warn: (text: string) => void): Opener;
