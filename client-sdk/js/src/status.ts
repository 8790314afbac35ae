//! How the connection is doing, in words that an interface can show.

import type { FanwireError } from './errors.ts';
import type { TransportName } from './link.ts';

/**
 * `connecting`: for the first time. `connected`. `reconnecting`: it broke, and is made again. `offline`: as reconnecting, and the
 * device says that it has no network. `suspended`: the browser keeps the page for the back button. `closed`: for good.
 */
export type State = 'connecting' | 'connected' | 'reconnecting' | 'offline' | 'suspended' | 'closed';

/** How the connection is doing. */
export interface Status {
  state: State;
  /** What carries it, while connected; `tab` when another tab of the browser does. */
  transport?: TransportName | 'tab' | undefined;
  /** The broker's name for the connection, while connected. */
  connection?: string | undefined;
  /** The user that the broker takes this client for. */
  user?: string | undefined;
  /** The broker's software and version. */
  server?: string | undefined;
  /** While reconnecting: which attempt it is since a connection last held, and how long it waits before it starts. */
  attempt?: number | undefined;
  waitMs?: number | undefined;
  /** Why it is not connected. */
  error?: FanwireError | undefined;
}
