//! Each tab's side of a shared connection: finds the leading tab, or leads itself, and speaks to the leader as to a broker.
//!
//! The leader holds a Web Lock, which the browser passes on when a tab closes. A leader that the browser put to sleep does not answer,
//! and another tab takes the lock from it.

import type { Broker } from '../broker.ts';
import type { ClientFrame } from '../frames.ts';
import type { LinkListener } from '../link.ts';
import type { DialFailure, Opened, Opener } from '../transports/dialer.ts';
import type { Own } from '../options.ts';
import { Hub } from './hub.ts';
import { type End, type FromTab, leaderLock, tabLock, type ToTab } from './words.ts';

/** The time-out for a leader's first answer, in milliseconds. */
const HEARD_MS = 1500;

/** The maximum of a random delay, so that several tabs do not take the lock at once, in milliseconds. */
const STEAL_JITTER_MS = 300;

/** A link that is being opened, or is open. */
interface Dialed {
  link: string;
  hello: ClientFrame;
  listener: LinkListener;
  isOpen: boolean;
  resolve(opened: Opened): void;
  reject(failure: DialFailure): void;
}

/** Opens connections over the leading tab. */
export class TabOpener implements Opener {
  private readonly tab = Math.random().toString(36).slice(2) + Date.now().toString(36);
  private readonly channel: BroadcastChannel;
  private readonly ends = new AbortController();
  private dialed: Dialed | undefined;
  private links = 0;
  /** Whether this tab holds the lock that shows that it lives. A leader that gets that lock takes the tab for gone. */
  private isAlive = false;
  private hub: Hub | undefined;
  private stepDown: () => void = () => {};
  private cancelSearch: () => void = () => {};

  constructor(private readonly name: string, private readonly own: Own) {
    this.channel = new BroadcastChannel(name);
    this.channel.onmessage = ({ data }: MessageEvent<ToTab>) => this.take(data);
    const { signal } = this.ends;
    // Held while this tab lives, so that the leader notices its end.
    const life = new Promise<void>((resolve) => { signal.addEventListener('abort', () => resolve()); });
    navigator.locks.request(tabLock(name, this.tab), () => {
      this.isAlive = true;
      this.sayHello();
      return life;
    }).catch(() => {});
    this.stand();
    document.addEventListener('freeze', () => this.stepDown(), { signal });
    document.addEventListener('resume', () => this.stand(), { signal });
  }

  open(listener: LinkListener, hello: ClientFrame): Promise<Opened> {
    return new Promise((resolve, reject) => {
      this.dialed = { link: `${this.tab} ${++this.links}`, hello, listener, isOpen: false, resolve, reject };
      this.sayHello();
    });
  }

  isReplaced(): Promise<boolean> {
    return Promise.resolve(false);
  }

  close(): void {
    if (this.ends.signal.aborted) return;
    this.fail({ reason: 'closed' });
    this.ends.abort();
    this.stepDown();
    this.channel.close();
  }

  /** Waits for the lock of the leader, or takes it. */
  private stand(steal = false): void {
    if (this.hub || this.ends.signal.aborted) return;
    const options = steal ? { steal } : { signal: this.ends.signal };
    navigator.locks.request(leaderLock(this.name), options, () => this.lead())
      // Another tab took it: wait again. A page that sleeps does so when it wakes.
      .catch(() => {
        this.stepDown();
        this.stand();
      });
  }

  /** Leads until it steps down. */
  private lead(): Promise<void> | undefined {
    if (this.hub || this.ends.signal.aborted) return undefined;
    const channel = new BroadcastChannel(this.name);
    const hub = this.hub = new Hub(this.name, channel, this.own.alone() as Broker);
    channel.postMessage({ to: '*', isLed: true } satisfies ToTab);
    return new Promise((resolve) => {
      this.stepDown = () => {
        this.stepDown = () => {};
        this.hub = undefined;
        hub.stop();
        resolve();
      };
    });
  }

  private take({ to, link, frame, end, isHeard, isLed }: ToTab): void {
    const { dialed } = this;
    if (!dialed || (to !== '*' && to !== this.tab) || (link !== undefined && link !== dialed.link)) return;
    if (to === '*') {
      if (!dialed.isOpen) return this.sayHello();
      return this.fail({ reason: isLed ? 'another tab leads now' : 'the leading tab went away' });
    }
    this.cancelSearch();
    if (isHeard) return dialed.isOpen ? undefined : this.later(() => this.sayHello());
    if (end) return this.fail(end);
    const said = frame as Parameters<LinkListener['frame']>[0];
    if (dialed.isOpen) return dialed.listener.frame(said);
    if (said.type !== 'connected') return;
    dialed.isOpen = true;
    const send = (frame: ClientFrame) => this.post(dialed.link, { frame });
    const close = () => {
      this.post(dialed.link, {});
      if (this.dialed === dialed) this.dialed = undefined;
    };
    dialed.resolve({ link: { send, close }, transport: 'tab', connected: said });
  }

  private fail({ error, ...end }: End): void {
    const { dialed } = this;
    this.cancelSearch();
    this.dialed = undefined;
    // After a change of the leader, the tab reconnects without a wait. A connection that the leader ended for good is over for all tabs.
    const closing = { type: 'closing', code: error?.status ?? 1001, reason: end.reason, reconnect: !end.isFinal, after_ms: 0 } as const;
    const failure = error ? { ...end, error, ...(end.isFinal ? { closing } : {}) } : { ...end, closing };
    if (dialed?.isOpen) dialed.listener.ended(failure);
    else dialed?.reject(failure);
  }

  /** Requests a connection from the leader until there is one. If no leader answers, this tab becomes the leader. */
  private sayHello(): void {
    const { dialed } = this;
    if (!dialed || !this.isAlive) return;
    this.cancelSearch();
    this.post(dialed.link, { hello: dialed.hello });
    this.later(() => {
      this.stand(true);
      this.sayHello();
    });
  }

  /** Calls `what` later, unless a message arrives before. */
  private later(what: () => void): void {
    const timer = setTimeout(what, HEARD_MS + Math.random() * STEAL_JITTER_MS);
    this.cancelSearch = () => clearTimeout(timer);
  }

  private post(link: string, what: Pick<FromTab, 'hello' | 'frame'>): void {
    if (!this.ends.signal.aborted) this.channel.postMessage({ to: 'leader', from: this.tab, link, ...what } satisfies FromTab);
  }
}
