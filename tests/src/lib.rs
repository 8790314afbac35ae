//! What the end-to-end tests stand on: a broker process, and clients that say exactly what they are told to, byte by byte.
//!
//! Everything blocks, and everything that waits gives up after [`PATIENCE`] with a message that says what did not come. The
//! clients are made for testing: they panic where a real client would return an error.

mod application;
mod authority;
mod broker;
mod directory;
mod events;
mod http;
mod small_disk;
mod temporary;
mod tls;
mod token;
mod websocket;
mod wire;

use std::time::{Duration, Instant};

pub use application::{Application, HOOKS_SECRET, HookAnswer, HookCall};
pub use authority::Authority;
pub use broker::{Broker, STEPPED_ARCHIVE, binary, nth_offset, serve_command};
pub use directory::{DataDirectory, Gate};
pub use events::{Event, Events};
pub use http::{Http, Response, get, post, request};
pub use small_disk::SmallDisk;
pub use temporary::temporary;
pub use tls::Certificate;
pub use token::{AUTH, SECRET, signed_with, token_for, token_of, unix_seconds};
pub use websocket::{Frame, Opcode, WebSocket};
pub use wire::Wire;

/// How long a test waits for anything that must come: a machine that is ten times slower, and busy, takes no longer.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Asks again and again until `probe` has an answer.
///
/// # Panics
/// If there is none within [`PATIENCE`]; `what` says what was waited for.
pub fn eventually<T>(what: &str, mut probe: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(answer) = probe() {
            return answer;
        }
        assert!(Instant::now() < deadline, "{what}: not within {PATIENCE:?}");
        std::thread::sleep(Duration::from_millis(10));
    }
}
