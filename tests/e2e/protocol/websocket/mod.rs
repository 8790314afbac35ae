//! The bare WebSocket as the Autobahn fuzzing client would look at it: an RFC 6455 echo server.

mod closing;
mod echo;
mod endings;
mod handshake;
mod utf8;

use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use fanwire_tests::{Broker, WebSocket};

/// Where a bare WebSocket echoes what it is sent.
const ECHO: &str = "/topics/echo-test";

/// A broker with limits raised. Tests that run at the same time share one; the last of them takes it down, which a plain
/// static would not do.
fn broker() -> Arc<Broker> {
    static SHARED: Mutex<Weak<Broker>> = Mutex::new(Weak::new());
    let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
    shared.upgrade().unwrap_or_else(|| {
        let broker = Arc::new(Broker::with(&[
            "limits.message_bytes_max=64MiB",
            "limits.outbox_bytes_max=256MiB",
            "limits.inbox_bytes_max=256MiB",
            "limits.batch_bytes_max=64MiB",
        ]));
        *shared = Arc::downgrade(&broker);
        broker
    })
}

/// A WebSocket that keeps the broker it talks to.
struct Echo {
    socket: WebSocket,
    _broker: Arc<Broker>,
}

impl Deref for Echo {
    type Target = WebSocket;

    fn deref(&self) -> &WebSocket {
        &self.socket
    }
}

impl DerefMut for Echo {
    fn deref_mut(&mut self) -> &mut WebSocket {
        &mut self.socket
    }
}

/// A WebSocket on a topic of its own, so that tests do not hear each other.
fn open(name: &str) -> Echo {
    let broker = broker();
    Echo { socket: WebSocket::open(broker.address(), &format!("{ECHO}.{name}")), _broker: broker }
}
