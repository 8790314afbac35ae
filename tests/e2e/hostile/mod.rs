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
use std::time::{Duration, Instant};

use fanwire_tests::{Broker, WebSocket, get, post};
use serde_json::json;

/// A session that behaves, to see that it is not affected by those that do not.
struct Honest {
    address: SocketAddr,
    socket: WebSocket,
    /// How long it took to be served while nobody else was there.
    undisturbed: Duration,
}

/// How soon an honest client is served, whatever the others do.
const AT_ONCE: Duration = Duration::from_secs(1);

/// How many times longer than when it is alone an honest client may wait on a machine that is too slow for [`AT_ONCE`], because
/// it has other things to do: floods that go round the broker's turns make it wait for hundreds of times as long.
const SLOWED_DOWN_MAX: u32 = 50;

impl Honest {
    /// Subscribes to a topic of its own.
    fn begin(broker: &Broker) -> Self {
        let mut socket = WebSocket::open(broker.address(), "/ws");
        let reply = socket.ask(&json!({"type": "subscribe", "id": 1, "topic": "honest"}));
        assert_eq!(reply["type"], "subscribed");
        let mut honest = Self { address: broker.address(), socket, undisturbed: Duration::MAX };
        honest.undisturbed = (0..3).map(|_| honest.time_quietly()).min().expect("three times");
        honest
    }

    /// How long it takes to be served with two requests and an answer on the socket, as in [`Honest::check`], but without a
    /// publication, which some tests count.
    fn time_quietly(&mut self) -> Duration {
        let started = Instant::now();
        for path in ["/healthz", "/readyz"] {
            assert_eq!(get(self.address, path).status, 200);
        }
        assert_eq!(self.socket.ask(&json!({"type": "ping", "id": 2}))["type"], "pong");
        started.elapsed()
    }

    /// How long [`Honest::check`] takes now.
    fn time(&mut self) -> Duration {
        let started = Instant::now();
        self.check();
        started.elapsed()
    }

    /// Sees that it is served at once. One that the broker keeps waiting waits every time; one that the test machine keeps
    /// waiting, because other tests run on it too, does not. So the best of three counts.
    fn check_served_at_once(&mut self) {
        let patience = AT_ONCE.max(self.undisturbed * SLOWED_DOWN_MAX);
        let times: Vec<Duration> = (0..3).map(|_| self.time()).collect();
        assert!(times.iter().any(|time| *time < patience), "served after {times:?}, not within {patience:?}");
    }

    /// Sees that the broker lives, publishing works, and this session is served.
    fn check(&mut self) {
        assert_eq!(get(self.address, "/healthz").status, 200);
        assert_eq!(post(self.address, "/topics/honest", "text/plain", b"still here").status, 200);
        let message = self.socket.read_json();
        assert_eq!((&message["type"], &message["data"]), (&"message".into(), &"still here".into()));
    }
}
