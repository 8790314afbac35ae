//! Limits: rates, floods, pressure and slow peers.

mod answers;
mod floods;
mod pinned;
mod pressure;
mod rates;
mod refused_connections;
mod slow_peers;
mod topics;
