//! Detects a dead connection. The broker pings idle sessions, but browsers do not show pings to a page, so the client sends its own
//! ping when nothing arrives. A clock that jumped means that the machine slept, not that the broker is dead.

import type { Clock } from './clock.ts';

/** The time-outs for the answer to a ping, in milliseconds: normally, and after a sleep. */
export const PONG_MS = 10_000;
export const WAKE_PONG_MS = 4000;

/** Watches one link. */
export class Life {
  private cancel: () => void = () => {};
  private isPinging = false;

  /** `ping` sends a ping. `dead` is called when nothing arrives in time. */
  constructor(
    private readonly clock: Clock, private readonly intervalMs: number,
    private readonly ping: () => void, private readonly dead: () => void,
  ) {
    this.heard();
  }

  /** Records that something arrived. */
  heard(): void {
    this.isPinging = false;
    this.cancel();
    this.cancel = this.clock.after(this.intervalMs, () => this.probe(PONG_MS));
  }

  /** Sends a ping now, unless one waits for its answer. */
  probe(answerMs: number): void {
    if (this.isPinging) return;
    this.isPinging = true;
    this.cancel();
    this.cancel = this.clock.after(answerMs, this.dead);
    this.ping();
  }

  /** Ends the watch. */
  stop(): void {
    this.cancel();
  }
}
