//! What comes from those who mean no good, or know no better: a clear error to the sender, and nothing to anybody else.

mod closes;
mod errors;
mod fields;
mod floods;
mod http;
mod origins;
mod places;
mod pressure;
mod random;
mod rates;
mod requests;
mod slow;
mod tls;

use std::net::SocketAddr;

use fanwire_tests::{Broker, WebSocket, get, post};
use serde_json::json;

/// A session that behaves, to see that it is not affected by those that do not.
struct Honest {
    address: SocketAddr,
    socket: WebSocket,
}

impl Honest {
    /// Subscribes to a topic of its own.
    fn begin(broker: &Broker) -> Self {
        let mut socket = WebSocket::open(broker.address(), "/ws");
        let reply = socket.ask(&json!({"type": "subscribe", "id": 1, "topic": "honest"}));
        assert_eq!(reply["type"], "subscribed");
        Self { address: broker.address(), socket }
    }

    /// Sees that the broker lives, publishing works, and this session is served.
    fn check(&mut self) {
        assert_eq!(get(self.address, "/healthz").status, 200);
        assert_eq!(post(self.address, "/topics/honest", "text/plain", b"still here").status, 200);
        let message = self.socket.read_json();
        assert_eq!((&message["type"], &message["data"]), (&"message".into(), &"still here".into()));
    }
}
