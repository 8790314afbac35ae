// A clock that the test moves, for tests of waits and time-outs.

/** Runs everything that waits for promises alone. */
export async function settle() {
  for (let turn = 0; turn < 5; turn++) await new Promise((resolve) => { setImmediate(resolve); });
}

/** A clock that the test moves. It draws `random`. */
export class FakeClock {
  constructor(random = 1) {
    this.time = 0;
    this.drawn = random;
    this.timers = new Set();
  }

  now() {
    return this.time;
  }

  random() {
    return this.drawn;
  }

  after(ms, action) {
    const timer = { at: this.time + ms, action };
    this.timers.add(timer);
    return () => this.timers.delete(timer);
  }

  /** The timers that are set, as milliseconds from now. */
  get waits() {
    return [...this.timers].map((timer) => timer.at - this.time).sort((one, other) => one - other);
  }

  /** Moves by `ms`, and runs the due timers in their order. */
  async advance(ms) {
    const end = this.time + ms;
    for (;;) {
      await settle();
      const due = [...this.timers].filter((timer) => timer.at <= end).sort((one, other) => one.at - other.at)[0];
      if (!due) break;
      this.time = Math.max(this.time, due.at);
      this.timers.delete(due);
      due.action();
    }
    this.time = end;
    await settle();
  }
}
