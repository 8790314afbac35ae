import type { Broker } from '../broker.js';
/** Serves the tabs on `channel` with the connection of `broker`. */
export declare class Hub {
    private readonly name;
    private readonly channel;
    private readonly broker;
    private readonly clients;
    constructor(name: string, channel: BroadcastChannel, broker: Broker);
    /** Ends the service. The tabs look for another leader at once. */
    stop(): void;
    private take;
    private greet;
    private changed;
    private welcome;
    private end;
    private drop;
    private answer;
    private subscribe;
    private say;
}
