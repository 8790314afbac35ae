//! What sessions keep in memory that history has dropped: it counts against each of them, and against the cap of all.

use fanwire_tests::{Broker, Opcode, WebSocket, nth_offset};
use serde_json::json;

use crate::fixtures::texts::{publish, subscribe};

const MIB: f64 = 1024.0 * 1024.0;

/// The size of a publication, in bytes.
const PAYLOAD_BYTES: usize = 128 * 1024;

/// The number of publications that the topic keeps: 6 MiB.
const KEPT: u64 = 48;

fn broker(slow: &str) -> Broker {
    Broker::with_file(
        &format!(
            "[[topic]]\nmatch = 'flood'\nslow = '{slow}'\nhistory = {{ messages = {KEPT}, bytes = '16MiB', ttl = '1h' }}\n\
             [history]\nbytes_max = '8MiB'\n\
             [limits]\noutbox_bytes_max = '1MiB'\nmessage_bytes_max = '256KiB'\n"
        ),
        &[],
    )
}

/// Publishes so many times, and waits until all of it is accepted.
struct Publisher {
    socket: WebSocket,
    sent: u64,
}

impl Publisher {
    fn open(broker: &Broker) -> Self {
        Self { socket: WebSocket::open(broker.address(), "/topics/flood?echo=false"), sent: 0 }
    }

    fn publish(&mut self, broker: &Broker, count: u64) {
        for _ in 0..count {
            self.socket.send_frame(true, Opcode::BINARY, &[b'x'; PAYLOAD_BYTES]);
        }
        self.sent += count;
        broker.await_metric("fanwire_publications_total", self.sent as f64);
    }
}

/// Subscribes from the earliest publication on, and reads the reply only.
fn resume(broker: &Broker) -> WebSocket {
    let mut socket = WebSocket::open(broker.address(), "/ws");
    let reply = socket.ask(&json!({"type": "subscribe", "id": 1, "topic": "flood", "since": "earliest"}));
    assert_eq!((reply["type"].as_str(), reply["recovered"].as_bool()), (Some("subscribed"), Some(true)));
    socket
}

/// Reads until everything up to `published` has been received or reported as missed; returns the offsets and the number missed.
fn read_all(socket: &mut WebSocket, published: u64) -> (Vec<u64>, u64) {
    let (mut offsets, mut missed) = (Vec::new(), 0);
    while offsets.len() as u64 + missed < published {
        let frame = socket.read_json();
        match frame["type"].as_str() {
            Some("message") => offsets.push(frame["offset"].as_u64().expect("an offset")),
            Some("lagged") => missed += frame["missed"].as_u64().expect("a number"),
            _ => panic!("neither message nor lagged: {frame}"),
        }
    }
    (offsets, missed)
}

#[test]
fn deaf_sessions_together_keep_no_more_than_their_share_of_the_cap() {
    const DEAF: usize = 30;
    for slow in ["skip", "latest"] {
        let broker = broker(slow);
        let mut honest = subscribe(broker.address(), "calm");
        let mut publisher = Publisher::open(&broker);
        publisher.publish(&broker, KEPT);
        let before = broker.metric("process_resident_memory_bytes");
        let mut deaf = Vec::new();
        for _ in 0..DEAF {
            deaf.push(resume(&broker));
            // History drops all that the session has been promised.
            publisher.publish(&broker, KEPT);
            publish(broker.address(), "calm", "still served");
            publisher.sent += 1;
            assert_eq!(honest.read_json()["data"], "still served");
            let pinned = broker.metric("fanwire_pinned_bytes");
            // Half of the cap, and what one tick of each worker may add before the next look.
            assert!(pinned <= 6.0 * MIB, "{} MiB are pinned", pinned / MIB);
        }
        let grown = broker.metric("process_resident_memory_bytes") - before;
        println!("{slow}: {DEAF} deaf sessions cost {:.1} MiB", grown / MIB);
        assert!(grown <= 48.0 * MIB, "{slow}: {DEAF} deaf sessions cost {:.1} MiB", grown / MIB);
        assert!(broker.metric("fanwire_pinned_closes_total") >= 1.0);
        drop(deaf);
        broker.await_metric("fanwire_pinned_bytes", 0.0);
    }
}

#[test]
fn a_session_receives_more_history_than_its_outbox_holds_whole_and_in_order() {
    for slow in ["disconnect", "skip", "latest"] {
        let broker = broker(slow);
        let mut publisher = Publisher::open(&broker);
        publisher.publish(&broker, KEPT);
        let mut socket = resume(&broker);
        let (offsets, missed) = read_all(&mut socket, KEPT);
        assert_eq!((offsets, missed), ((1..=KEPT).map(nth_offset).collect(), 0));
        publisher.publish(&broker, 1);
        assert_eq!(socket.read_json()["offset"], nth_offset(KEPT + 1));
    }
}

#[test]
#[cfg_attr(feature = "stepped-archive", ignore = "is about topics in memory")]
fn a_session_that_catches_up_more_slowly_than_history_drops_receives_a_sign_of_it() {
    // The sockets between take up some of it, so that it is several times as much as is kept.
    let more = 4 * KEPT;
    for slow in ["skip", "latest"] {
        let broker = broker(slow);
        let mut publisher = Publisher::open(&broker);
        publisher.publish(&broker, KEPT);
        let mut lazy = resume(&broker);
        publisher.publish(&broker, more);
        let (offsets, missed) = read_all(&mut lazy, publisher.sent);
        assert!(missed > 0 && offsets.is_sorted(), "{missed} were missed");
        assert_eq!(offsets.len() as u64 + missed, publisher.sent);
        assert_eq!(offsets.last(), Some(&publisher.sent));
    }
    let broker = broker("disconnect");
    let mut publisher = Publisher::open(&broker);
    publisher.publish(&broker, KEPT);
    let mut lazy = resume(&broker);
    publisher.publish(&broker, more);
    assert_eq!(lazy.check_closing(4413)["reconnect"], true);
}
