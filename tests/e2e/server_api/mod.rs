//! `/api/v1`: who may use it, and what it does to topics and to sessions on every transport.

mod clearing;
mod direct;
mod disconnect;
mod guard;
mod listing;
mod stats;
mod subscribing;
mod topics;
