//! The Pusher Channels protocol, over raw sockets: every row of its contract, refusals included.

mod client_events;
mod connecting;
mod counting;
mod events;
mod fixture;
mod looking;
mod presence;
mod sharing;
mod sign_in;
mod subscribing;
mod webhooks;
