//! Hooks, with an application of the test's own behind the real broker.

mod callouts;
mod disconnects;
mod drain;
mod failing;
mod presence;
mod topics;
mod trust;
mod webhook_delivery;

use fanwire_tests::{HookAnswer, HookCall};
use serde_json::json;

/// Allows everything, and accepts all webhook events.
fn allow(_call: &HookCall) -> HookAnswer {
    HookAnswer::Json(json!({"allow": true}))
}

/// An answer with this status line and more headers, each with CRLF before it.
fn status(line: &str, headers: &str) -> HookAnswer {
    HookAnswer::Raw(format!("HTTP/1.1 {line}{headers}\r\nContent-Length: 0\r\n\r\n"))
}
