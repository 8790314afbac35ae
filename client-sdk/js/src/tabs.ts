//! What `fanwire/tabs` exports: one connection for all tabs of a browser.

import type { Own, Sharing } from './options.ts';
import { TabOpener } from './tabs/opener.ts';

/**
 * For the option `share` of `connect`: one connection for all tabs of this browser and origin that say the same name. They must
 * be the same user's. Where the browser cannot do that, each tab has a connection of its own.
 */
export function tabs(name = 'default'): Sharing {
  return (own: Own) => {
    const isAble = typeof document !== 'undefined' && typeof BroadcastChannel !== 'undefined' && globalThis.navigator?.locks !== undefined;
    return isAble ? new TabOpener(`fanwire ${own.address} ${name}`, own) : own.opener();
  };
}
