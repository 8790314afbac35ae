//! The bare WebSocket as the Autobahn fuzzing client would look at it: an RFC 6455 echo server.

mod closing;
mod echo;
mod utf8;

use std::sync::OnceLock;

use fanwire_tests::{Broker, WebSocket};

/// Where a bare WebSocket echoes what it is sent.
const ECHO: &str = "/topics/echo-test";

/// A broker with limits raised, for all tests of this module; it is killed with the test process.
fn broker() -> &'static Broker {
    static BROKER: OnceLock<Broker> = OnceLock::new();
    BROKER.get_or_init(|| {
        Broker::with(&[
            "limits.message_bytes_max=64MiB",
            "limits.outbox_bytes_max=256MiB",
            "limits.inbox_bytes_max=256MiB",
            "limits.batch_bytes_max=64MiB",
        ])
    })
}

/// A WebSocket on a topic of its own, so that tests do not hear each other.
fn open(name: &str) -> WebSocket {
    WebSocket::open(broker().address(), &format!("{ECHO}.{name}"))
}
