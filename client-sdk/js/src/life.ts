//! Whether the other side is still there. The broker pings idle sessions, but browsers do not show that to a page, so this
//! side asks when it hears nothing. A clock that jumped has been asleep, which is no reason to think the broker dead.

import type { Clock } from './clock.ts';

/** How long an answer to a ping may take, in milliseconds, ordinarily and when it is asked whether it survived a sleep. */
export const PONG_MS = 10_000;
export const WAKE_PONG_MS = 4000;

/** Watches one link. */
export class Life {
  private cancel: () => void = () => {};
  private isAsking = false;

  /** `ping` asks the other side for an answer; `dead` is called when none comes. */
  constructor(
    private readonly clock: Clock, private readonly intervalMs: number,
    private readonly ping: () => void, private readonly dead: () => void,
  ) {
    this.heard();
  }

  /** Something came. */
  heard(): void {
    this.isAsking = false;
    this.cancel();
    this.cancel = this.clock.after(this.intervalMs, () => this.ask(PONG_MS));
  }

  /** Asks now, and waits for so long. */
  ask(answerMs: number): void {
    if (this.isAsking) return;
    this.isAsking = true;
    this.cancel();
    this.cancel = this.clock.after(answerMs, this.dead);
    this.ping();
  }

  /** Ends the watch. */
  stop(): void {
    this.cancel();
  }
}
