//! The status of the connection, in words for a user interface.

import type { FanwireError } from './errors.ts';
import type { TransportName } from './link.ts';

/**
 * `connecting`: for the first time. `connected`: the broker has accepted the connection. `reconnecting`: the connection ended and is
 * made again. `offline`: as reconnecting, and the device has no network. `suspended`: the browser keeps the page for its back
 * button. `closed`: for good.
 */
export type State = 'connecting' | 'connected' | 'reconnecting' | 'offline' | 'suspended' | 'closed';

/** The status of the connection. */
export interface Status {
  state: State;
  /** The transport, while connected; `tab` when another tab of the browser holds the connection. */
  transport?: TransportName | 'tab' | undefined;
  /** The broker's name for the connection, while connected. */
  connection?: string | undefined;
  /** The user of this client, as the broker knows it. */
  user?: string | undefined;
  /** The broker's software and version. */
  server?: string | undefined;
  /** While reconnecting: the number of the attempt since a connection last held, and the wait before it. */
  attempt?: number | undefined;
  waitMs?: number | undefined;
  /** Why there is no connection. */
  error?: FanwireError | undefined;
}
