//! Each tab's side of a shared connection: finds the tab that leads, or leads itself, and speaks to it as to a broker.
//!
//! The leader is whoever holds a Web Lock, which the browser passes on when a tab goes away. A leader that a browser put to sleep does not
//! answer, and the lock is taken from it.

import type { ClientFrame } from '../frames.ts';
import type { LinkListener } from '../link.ts';
import type { DialFailure, Opened, Opener } from '../transports/dialer.ts';
import type { Own } from '../options.ts';
import { Hub } from './hub.ts';
import { type End, type FromTab, leaderLock, tabLock, type ToTab } from './words.ts';

/** How long a leader may take to say that it heard, in milliseconds. */
const HEARD_MS = 1500;

/** Several tabs that miss their leader do not take the lock in the same moment, in milliseconds. */
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

/** Opens connections over whichever tab leads. */
export class TabOpener implements Opener {
  private readonly tab = Math.random().toString(36).slice(2) + Date.now().toString(36);
  private readonly channel: BroadcastChannel;
  private readonly ends = new AbortController();
  private dialed: Dialed | undefined;
  private links = 0;
  private hub: Hub | undefined;
  private stepDown: () => void = () => {};
  private cancelSearch: () => void = () => {};

  constructor(private readonly name: string, private readonly own: Own) {
    this.channel = new BroadcastChannel(name);
    this.channel.onmessage = ({ data }: MessageEvent<ToTab>) => this.take(data);
    const { signal } = this.ends;
    // Held for as long as this lives, so that the leader notices its end.
    const life = new Promise<void>((resolve) => { signal.addEventListener('abort', () => resolve()); });
    navigator.locks.request(tabLock(name, this.tab), () => life).catch(() => {});
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

  /** Stands in the queue for the lead, or takes it. */
  private stand(steal = false): void {
    if (this.hub || this.ends.signal.aborted) return;
    const options = steal ? { steal } : { signal: this.ends.signal };
    navigator.locks.request(leaderLock(this.name), options, () => this.lead())
      // It was stolen: stand in the queue again, unless the page sleeps, which then does so when it wakes.
      .catch(() => {
        this.stepDown();
        this.stand();
      });
  }

  /** Leads until it steps down. */
  private lead(): Promise<void> | undefined {
    if (this.hub || this.ends.signal.aborted) return undefined;
    const channel = new BroadcastChannel(this.name);
    const hub = this.hub = new Hub(this.name, channel, this.own.alone());
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
    // A change of the lead is no reason to wait.
    const closing = { type: 'closing', code: 1001, reason: end.reason, reconnect: true, after_ms: 0 } as const;
    const failure = error ? { ...end, error: this.own.makeError(error) } : { ...end, closing };
    if (dialed?.isOpen) dialed.listener.ended(failure);
    else dialed?.reject(failure);
  }

  /** Asks whoever leads for a connection, again and again until there is one, and takes the lead when nobody answers. */
  private sayHello(): void {
    const { dialed } = this;
    if (!dialed) return;
    this.cancelSearch();
    this.post(dialed.link, { hello: dialed.hello });
    this.later(() => {
      this.stand(true);
      this.sayHello();
    });
  }

  /** Does `what` when nothing else is heard until then. */
  private later(what: () => void): void {
    const timer = setTimeout(what, HEARD_MS + Math.random() * STEAL_JITTER_MS);
    this.cancelSearch = () => clearTimeout(timer);
  }

  private post(link: string, what: Pick<FromTab, 'hello' | 'frame'>): void {
    if (!this.ends.signal.aborted) this.channel.postMessage({ to: 'leader', from: this.tab, link, ...what } satisfies FromTab);
  }
}
