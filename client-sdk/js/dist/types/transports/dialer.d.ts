import type { Address } from '../address.js';
import type { Clock } from '../clock.js';
import type { ClientFrame, ReplyFrame } from '../frames.js';
import type { Dial, Link, LinkEnd, LinkListener, TransportName } from '../link.js';
import type { Status } from '../status.js';
import type { TransportChoice } from './choice.js';
import { type Fetch } from './diagnosis.js';
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
export declare class Dialer implements Opener {
    private readonly address;
    private readonly choice;
    private readonly dials;
    private readonly fetch;
    private readonly clock;
    private readonly dialMs;
    private readonly warn;
    private readonly aborts;
    constructor(address: Address, choice: TransportChoice, dials: Dials, fetch: Fetch, clock: Clock, dialMs: number, warn: (text: string) => void);
    open(listener: LinkListener, hello: ClientFrame): Promise<Opened>;
    isReplaced(transport: Opened['transport']): Promise<boolean>;
    close(): void;
    private demote;
    /** Opens a link, sends `hello` and waits for the broker's `connected`. */
    private dial;
}
