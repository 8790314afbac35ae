import { type Reconnect } from './backoff.js';
import type { Clock } from './clock.js';
import type { Credentials } from './credentials.js';
import { FanwireError } from './errors.js';
import type { ServerFrame } from './frames.js';
import type { Link } from './link.js';
import type { Status } from './status.js';
import type { Opener } from './transports/dialer.js';
/** The owner of a connection. */
export interface Client {
    /** There is a connection: requests can be sent. */
    attached(link: Link): void;
    /** The connection broke. */
    detached(cause: FanwireError): void;
    received(frame: ServerFrame): void;
    /** The broker refused a message for its size. Returns whether a payload was sent over this connection. */
    blamed(error: FanwireError): boolean;
    /** Sends a new token to the broker. */
    refresh(token: string): Promise<unknown>;
    changed(status: Status): void;
    /** There will be no connection any more. */
    ended(error: FanwireError): void;
    warn(text: string): void;
}
/** Keeps one connection. */
export declare class Connection {
    private readonly opener;
    private readonly credentials;
    private readonly client;
    private readonly clock;
    private readonly name;
    status: Status;
    private readonly backoff;
    private readonly unwatch;
    private link;
    private life;
    private cancelRenewal;
    private end;
    private resumeLoop;
    private isSuspended;
    private isClosed;
    private wasConnected;
    /** How many connections in a row broke early, and how many tokens in a row were refused. */
    private shorts;
    private refusals;
    constructor(opener: Opener, credentials: Credentials, client: Client, clock: Clock, name: string | undefined, reconnect: Reconnect | undefined);
    /** Connects, and reconnects until `close()` or a final error. */
    run(): Promise<void>;
    /** Checks now whether the connection works, or tries now to make one. */
    wake(): void;
    /** Ends the connection for good. */
    close(): void;
    /** Runs one connection from its beginning to its end. */
    private live;
    private attach;
    /** Releases the link, if there is one. */
    private drop;
    private planRenewal;
    private suspend;
    /** Returns what follows from a connection that could not be made. */
    private failed;
    private judge;
    /** Returns the error of a refusal in the words of the application, which may not have passed a token. */
    private refused;
    /** Waits before the next attempt. Returns whether there is one. */
    private pause;
    private finish;
    private stop;
    private change;
}
/** Returns the error of everything that was pending when `close()` was called. */
export declare function closed(): FanwireError;
