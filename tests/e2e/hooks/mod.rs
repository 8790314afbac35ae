//! Hooks, with an application of the test's own behind the real broker.

mod asks;
mod failing;

use fanwire_tests::{HookAnswer, HookCall};
use serde_json::json;

/// Says yes to everything.
fn allow(_call: &HookCall) -> HookAnswer {
    HookAnswer::Json(json!({"allow": true}))
}
