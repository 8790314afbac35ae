//! End-to-end tests over the real binary, by feature. TESTING.md says where a new test goes.

mod auth;
mod durable;
mod fixtures;
mod history;
mod hooks;
mod limits;
mod operations;
mod presence;
mod protocol;
mod proxies;
mod publish;
mod pusher;
mod server_api;
mod subscribe;
mod tls;
