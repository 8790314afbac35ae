//! The exports of `fanwire/tabs`: one connection for all tabs of a browser.

import type { Own, Sharing } from './options.ts';
import { TabOpener } from './tabs/opener.ts';

/**
 * Returns the value of the option `share` of `connect`: one connection for all tabs of this browser and origin with the same name. They must
 * belong to the same user. Where the browser does not support it, each tab has a connection of its own.
 */
export function tabs(name = 'default'): Sharing {
  return (own: Own) => {
    const isAble = typeof document !== 'undefined' && typeof BroadcastChannel !== 'undefined' && globalThis.navigator?.locks !== undefined;
    return isAble ? new TabOpener(`fanwire ${own.address} ${name}`, own) : own.opener();
  };
}
