import type { ClientFrame } from '../frames.js';
import type { LinkListener } from '../link.js';
import type { Opened, Opener } from '../transports/dialer.js';
import type { Own } from '../options.js';
/** Opens connections over the leading tab. */
export declare class TabOpener implements Opener {
    private readonly name;
    private readonly own;
    private readonly tab;
    private readonly channel;
    private readonly ends;
    private dialed;
    private links;
    /** Whether this tab holds the lock that shows that it lives. A leader that gets that lock takes the tab for gone. */
    private isAlive;
    private hub;
    private stepDown;
    private cancelSearch;
    constructor(name: string, own: Own);
    open(listener: LinkListener, hello: ClientFrame): Promise<Opened>;
    isReplaced(): Promise<boolean>;
    close(): void;
    /** Waits for the lock of the leader, or takes it. */
    private stand;
    /** Leads until it steps down. */
    private lead;
    private take;
    private fail;
    /** Requests a connection from the leader until there is one. If no leader answers, this tab becomes the leader. */
    private sayHello;
    /** Calls `what` later, unless a message arrives before. */
    private later;
    private post;
}
