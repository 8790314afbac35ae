//! Opens a connection over the best transport that gets through. Where an intermediary breaks one, the next one is used.

import type { Address } from '../address.ts';
import type { Clock } from '../clock.ts';
import { FanwireError, textOf } from '../errors.ts';
import type { ClientFrame, ReplyFrame, ServerFrame } from '../frames.ts';
import type { Dial, Link, LinkEnd, LinkListener, TransportName } from '../link.ts';
import type { Status } from '../status.ts';
import type { TransportChoice } from './choice.ts';
import { type Diagnosis, diagnose, type Fetch } from './diagnosis.ts';

/** An open connection. */
export interface Opened {
  link: Link;
  transport: NonNullable<Status['transport']>;
  connected: ReplyFrame;
}

/** Why there is no connection. */
export interface DialFailure extends LinkEnd {
  /** Whether an unchanged attempt would fail again. */
  isFinal?: boolean;
}

/** Opens connections. */
export interface Opener {
  /** Opens one and sends `hello`. Rejects with a `DialFailure`. */
  open(listener: LinkListener, hello: ClientFrame): Promise<Opened>;
  /** Called when a transport may not get through. Returns whether another one is to be tried, because the broker answers. */
  isReplaced(transport: Opened['transport']): Promise<boolean>;
  /** Ends what is pending. */
  close(): void;
}

/** The functions that open each transport. `signal` cancels. */
export type Dials = Record<TransportName, (signal: AbortSignal) => Dial>;

/** Opens connections to a broker over its own transports. */
export class Dialer implements Opener {
  private readonly aborts = new AbortController();

  constructor(
    private readonly address: Address, private readonly choice: TransportChoice, private readonly dials: Dials,
    private readonly fetch: Fetch, private readonly clock: Clock, private readonly dialMs: number,
    private readonly warn: (text: string) => void,
  ) {}

  async open(listener: LinkListener, hello: ClientFrame): Promise<Opened> {
    let webSocketTries = 0;
    for (;;) {
      const transport = this.choice.best(this.clock.now());
      if (!transport) throw failure(new FanwireError('unavailable', 'there is no WebSocket here, and `transports` allows nothing else'), true);
      try {
        return await this.dial(transport, listener, hello);
      } catch (thrown) {
        const end: LinkEnd = thrown instanceof Error ? { reason: textOf(thrown) } : thrown as LinkEnd;
        // A broker that gives a reason was reached.
        if (this.aborts.signal.aborted || end.error || end.closing || end.code !== undefined) throw end;
        const diagnosis: Diagnosis | undefined = await diagnose(this.address, this.fetch);
        if (diagnosis) throw failure(diagnosis.error, diagnosis.isFinal);
        // The broker may have started just now, and WebSocket may work.
        if (transport === 'websocket' && !end.isUnfit && ++webSocketTries < 2) continue;
        if (this.demote(transport)) continue;
        this.choice.reset();
        throw failure(new FanwireError('unreachable', `${this.address.http} answers, but no transport gets through: ${end.reason}`), false);
      }
    }
  }

  async isReplaced(transport: Opened['transport']): Promise<boolean> {
    return transport !== 'tab' && !await diagnose(this.address, this.fetch) && this.demote(transport);
  }

  close(): void {
    this.aborts.abort();
  }

  private demote(transport: TransportName): boolean {
    if (!this.choice.demote(transport, this.clock.now())) return false;
    this.warn(`${transport} does not get through to ${this.address.http}: does a proxy break it? Using ${this.choice.best(this.clock.now())}`);
    return true;
  }

  /** Opens a link, sends `hello` and waits for the broker's `connected`. */
  private dial(transport: TransportName, listener: LinkListener, hello: ClientFrame): Promise<Opened> {
    return new Promise((resolve, reject) => {
      const aborts = new AbortController();
      let link: Link | undefined;
      let isOpen = false;
      const fail = (end: LinkEnd) => {
        cancel();
        this.aborts.signal.removeEventListener('abort', stop);
        aborts.abort();
        link?.close();
        reject(end);
      };
      const stop = () => fail({ reason: 'closed' });
      const cancel = this.clock.after(this.dialMs, () => fail({ reason: `no ${transport} within ${this.dialMs} ms`, isUnfit: true }));
      this.aborts.signal.addEventListener('abort', stop);
      const opened = (connected: ReplyFrame) => {
        cancel();
        this.aborts.signal.removeEventListener('abort', stop);
        isOpen = true;
        resolve({ link: link!, transport, connected });
      };
      const handshake: LinkListener = {
        frame: (frame: ServerFrame) => {
          if (isOpen) listener.frame(frame);
          else if (frame.type === 'connected') opened(frame);
          else if (frame.type === 'error') fail({ reason: frame.message, error: frame });
        },
        alive: () => listener.alive(),
        ended: (end) => (isOpen ? listener.ended(end) : fail(end)),
      };
      this.dials[transport](aborts.signal)(handshake).then((dialed) => {
        link = dialed;
        if (aborts.signal.aborted) link.close();
        else link.send(hello);
      }, fail);
    });
  }
}

function failure(error: FanwireError, isFinal: boolean): DialFailure {
  return { reason: error.message, error, isFinal };
}
