//! End-to-end tests over the real binary.

mod access;
mod calls;
mod durable;
mod flows;
mod hooks;
mod hostile;
mod rfc6455;
