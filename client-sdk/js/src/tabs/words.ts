//! What the tabs of a shared connection say to each other over a `BroadcastChannel`. A link is named by whoever opens it.

import type { ErrorCode } from '../errors.ts';
import type { ClientFrame } from '../frames.ts';

/** A tab to its leader: `hello` opens a link, `frame` goes over it, and neither is a goodbye. */
export interface FromTab {
  to: 'leader';
  from: string;
  link: string;
  hello?: ClientFrame;
  frame?: ClientFrame;
}

/** Why the leader ends a link. Errors are written out, because they lose their kind on the way. */
export interface End {
  reason: string;
  error?: { code: ErrorCode; message: string; status: number | undefined } | undefined;
  isFinal?: boolean;
}

/** The leader to a tab, or to all: `isLed` says whether there is a leader now, `isHeard` that a hello has arrived. */
export interface ToTab {
  to: string;
  link?: string;
  frame?: object;
  end?: End;
  isHeard?: true;
  isLed?: boolean;
}

/** The lock that the leading tab holds. */
export function leaderLock(name: string): string {
  return `${name} leader`;
}

/** The lock that a tab holds while it lives. */
export function tabLock(name: string, tab: string): string {
  return `${name} tab ${tab}`;
}
