//! Authentication and authorization: credentials, grants, origins, and when they end.

mod api_keys;
mod cross_origin;
mod endings;
mod host_names;
mod key_set;
mod origins;
mod reloading;
mod routes;
mod rust_client;
mod starting;
mod table;
mod tokens;
