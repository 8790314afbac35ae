//! The protocol: frames, errors, closes, RFC 6455, and damaged or hostile input.

mod closes;
mod errors;
mod fields;
mod http_bodies;
mod http_problems;
mod http_requests;
mod random_damage;
mod websocket;
