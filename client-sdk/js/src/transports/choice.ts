//! Which transport to try: the best one that is not known to fail here. The result is remembered for a while, so that the next page
//! need not find out again.

import type { TransportName } from '../link.ts';

/** How long a transport that did not get through is left out, in milliseconds. */
export const REMEMBER_MS = 300_000;

/** Where the result is stored; `localStorage` in browsers. Spelled out, because TypeScript for Node knows no `Storage`. */
export interface Memory {
  getItem(key: string): string | null;
  setItem(key: string, value: string): void;
}

/** The transports of one client, best first. */
export class TransportChoice {
  private first = 0;
  private until = 0;
  private readonly key: string;

  /** `broker` is the address that the result is for. */
  constructor(private readonly transports: readonly TransportName[], broker: string, private readonly memory: Memory | undefined) {
    this.key = `fanwire.transport ${broker}`;
    try {
      const [name, until] = (memory?.getItem(this.key) ?? '').split(' ');
      const index = transports.indexOf(name as TransportName);
      if (index > 0) [this.first, this.until] = [index, Number(until)];
    } catch { /* A page may not be allowed to store anything. */ }
  }

  /** Returns the transport to try now; undefined when there is none. */
  best(now: number): TransportName | undefined {
    if (now >= this.until) this.first = 0;
    return this.transports[this.first];
  }

  /** Leaves out a transport that did not get through. Returns whether there is another one to try. */
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

  /** Begins with the best transport again. */
  reset(): void {
    this.until = 0;
  }
}
