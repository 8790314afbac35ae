//! The messages between the tabs of a shared connection, over a `BroadcastChannel`. The tab that opens a link chooses its name.

import type { ErrorCode } from '../errors.ts';
import type { ClientFrame } from '../frames.ts';

/** A message of a tab to its leader: `hello` opens a link, `frame` is sent over it, neither closes it. */
export interface FromTab {
  to: 'leader';
  from: string;
  link: string;
  hello?: ClientFrame;
  frame?: ClientFrame;
}

/** Why the leader ends a link. An error is sent as its fields, because a channel does not keep its class. */
export interface End {
  reason: string;
  error?: { code: ErrorCode; message: string; status: number | undefined } | undefined;
  isFinal?: boolean;
}

/** A message of the leader to one tab or all: `isLed` tells whether there is a leader now, `isHeard` that a hello arrived. */
export interface ToTab {
  to: string;
  link?: string;
  frame?: object;
  end?: End;
  isHeard?: true;
  isLed?: boolean;
}

/** Returns the name of the lock that the leading tab holds. */
export function leaderLock(name: string): string {
  return `${name} leader`;
}

/** Returns the name of the lock that a tab holds while it lives. */
export function tabLock(name: string, tab: string): string {
  return `${name} tab ${tab}`;
}
