//! Which transport to try: the best that is not known to be broken here. What was learned is remembered for a while, so that
//! the next page does not have to find out again.

import type { TransportName } from '../link.ts';

/** How long a transport that did not get through is left alone, in milliseconds. */
export const REMEMBER_MS = 300_000;

/** Where it is remembered; `localStorage` in browsers. */
export type Memory = Pick<Storage, 'getItem' | 'setItem'>;

/** The transports of one client, best first. */
export class TransportChoice {
  private first = 0;
  private until = 0;
  private readonly key: string;

  /** `broker` is the address that what is remembered holds for. */
  constructor(private readonly transports: readonly TransportName[], broker: string, private readonly memory: Memory | undefined) {
    this.key = `fanwire.transport ${broker}`;
    try {
      const [name, until] = (memory?.getItem(this.key) ?? '').split(' ');
      const index = transports.indexOf(name as TransportName);
      if (index > 0) [this.first, this.until] = [index, Number(until)];
    } catch { /* A page may be forbidden to store anything. */ }
  }

  /** The transport to try now; undefined when there is none. */
  best(now: number): TransportName | undefined {
    if (now >= this.until) this.first = 0;
    return this.transports[this.first];
  }

  /** The transport did not get through where the broker can be reached. Whether there is another one to try. */
  demote(transport: TransportName, now: number): boolean {
    const next = this.transports.indexOf(transport) + 1;
    if (next >= this.transports.length) return false;
    this.first = next;
    this.until = now + REMEMBER_MS;
    try {
      this.memory?.setItem(this.key, `${this.transports[next]} ${this.until}`);
    } catch { /* As above. */ }
    return true;
  }

  /** Begins with the best again. */
  reset(): void {
    this.until = 0;
  }
}
