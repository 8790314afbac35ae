//! The exports of the package `fanwire`.

export { Broker, type BrokerEvents, connect, type History, type HistoryOptions, type PublishOptions, type Receipt } from './broker.ts';
export type { Reconnect } from './backoff.ts';
export type { TokenReason, TokenSource } from './credentials.ts';
export { type ErrorCode, FanwireError } from './errors.ts';
export type { RequestOptions } from './exchange.ts';
export type { ClientFrame, Codec, Payload, Place, Position, ServerFrame } from './frames.ts';
export type { TransportName } from './link.ts';
export type { Options, Own, Sharing } from './options.ts';
export type { WebSocketClass, WebSocketLike } from './transports/websocket.ts';
export type { Message } from './payload.ts';
export type { State, Status } from './status.ts';
export { type Joined, type Lost, type Member, type SubscribeOptions, Subscription, type SubscriptionEvents } from './subscription.ts';
