//! Limits: rates, floods, pressure and slow peers.

mod answers;
mod floods;
mod pressure;
mod rates;
mod slow_peers;
mod topics;
