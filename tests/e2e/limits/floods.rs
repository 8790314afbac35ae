//! Floods over real sockets: what a crowd of attackers costs in memory stays within a bound that is written down here, and an
//! honest client beside them, on a new connection, is served before
//! the broker has worked for a second.

use std::io::Write;
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use fanwire_tests::{Broker, Certificate, Http, Opcode, PATIENCE, WebSocket, eventually, post};
use rustix::process::{Resource, getrlimit, setrlimit};

use crate::fixtures::honest::{Honest, work, work_at_once};

const MIB: f64 = 1024.0 * 1024.0;

/// What the broker may grow by, whatever the flood: buffers of the allocator, of the workers, and of the honest client.
const SLACK_BYTES: f64 = 48.0 * MIB;

/// What a connection may cost that has sent no whole request: its head as far as it has come, and its state.
const HALF_OPEN_BYTES: f64 = 24.0 * 1024.0;

/// The same under TLS, where the hand-shake has state and a buffer of its own.
const HALF_OPEN_TLS_BYTES: f64 = 40.0 * 1024.0;

/// The right of one test to open thousands of connections. Tests share the descriptors of one process, so they take turns.
struct Descriptors(
    #[expect(dead_code, reason = "held until the connections are closed")] MutexGuard<'static, ()>,
);

/// Of so many connections, those that this machine lets one process open. Waits until no other test holds as many; keep the
/// second value until the connections are closed.
fn affordable(wanted: usize) -> (usize, Descriptors) {
    static TURN: Mutex<()> = Mutex::new(());
    let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit).expect("a soft limit may be raised to the hard one");
    // Each connection is one file of the broker's and one of ours; other tests need some too.
    let possible = limit.maximum.map_or(wanted, |most| usize::try_from(most).unwrap_or(wanted) * 3 / 4);
    if possible < wanted {
        println!("this machine lets a process open {possible} connections at most: {wanted} are not tried");
    }
    (wanted.min(possible), Descriptors(turn))
}

fn resident(broker: &Broker) -> f64 {
    broker.metric("process_resident_memory_bytes")
}

fn check_grown(what: &str, before: f64, after: f64, count: usize, each_bytes: f64) {
    let (grown, bound) = (after - before, count as f64 * each_bytes + SLACK_BYTES);
    println!("{what}: {count} cost {:.1} MiB, at most {:.0} MiB", grown / MIB, bound / MIB);
    assert!(grown <= bound, "{what}: {count} cost {:.1} MiB", grown / MIB);
}

/// Opens connections one after the other, and lets each say its piece of a beginning.
fn half_open(broker: &Broker, count: usize, beginning: impl Fn(usize) -> Vec<u8>) -> Vec<TcpStream> {
    let connect = |number| {
        let mut stream = TcpStream::connect(broker.address()).expect("the broker accepts connections");
        stream.write_all(&beginning(number)).expect("a beginning can be sent");
        stream
    };
    (0..count).map(connect).collect()
}

#[test]
fn ten_thousand_half_open_connections_cost_little_and_keep_no_client_out() {
    let broker = Broker::with(&["limits.handshake_timeout=60s"]);
    let before = resident(&broker);
    let (count, _descriptors) = affordable(10_000);
    let mut honest = Honest::begin(&broker);
    // Nothing, a request line without end, and a head that is almost as long as it may be.
    let held = half_open(&broker, count, |number| match number % 3 {
        0 => Vec::new(),
        1 => b"GET /ws HT".to_vec(),
        _ => [b"GET /ws HTTP/1.1\r\nHost: x\r\nCookie: ".as_slice(), &[b'a'; 14_000]].concat(),
    });
    eventually("all of them are waited for", || {
        (broker.metric("fanwire_handshakes") >= count as f64).then_some(())
    });
    honest.check_served_at_once();
    check_grown("half-open connections", before, resident(&broker), count, HALF_OPEN_BYTES);
    drop(held);
    broker.await_metric("fanwire_connections{transport=\"http\"}", 1.0);
}

/// Checks that a new connection is served under TLS, handshake included, before the broker has worked for a second: the best of
/// three, as [`Honest::check_served_at_once`] says.
fn check_newcomer_under_tls(certificate: &Certificate, broker: &Broker) -> String {
    let mut page = String::new();
    let mut ask = || {
        let before = work(broker.pid());
        let mut http = certificate.connect(broker.address());
        http.send(b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        page = http.read().text();
        work(broker.pid()) - before
    };
    let costs = [ask(), ask(), ask()];
    assert!(costs.iter().any(|cost| *cost < work_at_once()), "served after {costs:?} of work");
    page
}

fn metric_in(page: &str, name: &str) -> f64 {
    let line = page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.and_then(|value| value.parse().ok()).unwrap_or_else(|| panic!("no metric {name}"))
}

#[test]
fn ten_thousand_half_open_tls_handshakes_cost_little_and_keep_no_client_out() {
    let certificate = Certificate::new();
    let [own, key] = certificate.settings();
    let broker = Broker::with(&[&own, &key, "limits.handshake_timeout=60s"]);
    let before = metric_in(&check_newcomer_under_tls(&certificate, &broker), "process_resident_memory_bytes");
    let (count, _descriptors) = affordable(10_000);
    // The head of a record that announces a hello of 8 KiB, and more or less of it.
    let held = half_open(&broker, count, |number| {
        let mut hello = vec![22, 3, 1, 0x20, 4, 1, 0, 0x20, 0];
        hello.resize(hello.len() + (number % 8) * 1000, 3);
        hello
    });
    let mut page = String::new();
    eventually("all of them are waited for", || {
        page = check_newcomer_under_tls(&certificate, &broker);
        (metric_in(&page, "fanwire_handshakes") >= count as f64).then_some(())
    });
    let after = metric_in(&page, "process_resident_memory_bytes");
    check_grown("half-open TLS hand-shakes", before, after, count, HALF_OPEN_TLS_BYTES);
    drop(held);
}

#[test]
fn slow_heads_and_hellos_are_dropped_and_harm_no_other_client() {
    let broker = Broker::with(&["limits.handshake_timeout=3s"]);
    let mut honest = Honest::begin(&broker);
    let (count, _descriptors) = affordable(1_000);
    let mut held = half_open(&broker, count, |_| b"GET /ws HTTP/1.1\r\n".to_vec());
    let started = Instant::now();
    let mut alive = count;
    while alive > 0 {
        assert!(started.elapsed() < PATIENCE, "{alive} of {count} are still listened to");
        honest.check_served_at_once();
        // One more byte for every connection that is still open.
        held.retain_mut(|stream| stream.write_all(b"X").is_ok());
        alive = held.len();
    }
    let timed_out = broker.metric("fanwire_handshakes_failed_total{reason=\"timed_out\"}");
    assert!(timed_out >= count as f64, "{timed_out}");
}

/// A masked frame, with a key of zeros, of less than 126 bytes.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    [&[first, 0x80 | payload.len() as u8, 0, 0, 0, 0], payload].concat()
}

/// Ends a flood when it is dropped: its attackers must not go on when a check has failed.
struct End<'a>(&'a AtomicBool);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// A flood: what is sent, over and over, on as many sockets as there are attackers.
struct Flood {
    what: &'static str,
    settings: &'static [&'static str],
    attackers: usize,
    path: &'static str,
    opening: Vec<u8>,
    round: Vec<u8>,
    /// What one attacker may cost.
    each_bytes: f64,
}

impl Flood {
    /// Sends while the honest client is served again and again, and sees that the broker's memory stays within a bound. An
    /// attacker that the broker does not listen to any more comes again.
    fn check(&self) {
        let broker = Broker::with(self.settings);
        let mut honest = Honest::begin(&broker);
        let before = resident(&broker);
        let (is_over, sent) = (AtomicBool::new(false), AtomicUsize::new(0));
        thread::scope(|scope| {
            let _end = End(&is_over);
            for _ in 0..self.attackers {
                scope.spawn(|| {
                    while !is_over.load(Ordering::Relaxed) {
                        self.attack(&broker, &is_over, &sent);
                    }
                });
            }
            eventually("the flood has come", || {
                (sent.load(Ordering::Relaxed) > 20 * self.attackers).then_some(())
            });
            for _ in 0..5 {
                honest.check_served_at_once();
            }
            check_grown(self.what, before, resident(&broker), self.attackers, self.each_bytes);
        });
        honest.check_served_at_once();
    }

    fn attack(&self, broker: &Broker, is_over: &AtomicBool, sent: &AtomicUsize) {
        let socket = WebSocket::open(broker.address(), self.path);
        let mut stream = socket.stream();
        stream.set_write_timeout(Some(Duration::from_millis(200))).expect("a time-out");
        let mut is_heard = stream.write_all(&self.opening).is_ok();
        while is_heard && !is_over.load(Ordering::Relaxed) {
            is_heard = stream.write_all(&self.round).is_ok();
            sent.fetch_add(1, Ordering::Relaxed);
        }
    }
}

#[test]
fn endless_pings_with_unread_pongs_are_borne() {
    Flood {
        what: "pings",
        settings: &["limits.outbox_bytes_max=1MiB"],
        attackers: 4,
        path: "/ws",
        opening: Vec::new(),
        round: frame(0x89, &[b'p'; 100]).repeat(500),
        // An outbox that is filled with pongs, and what was read and waits.
        each_bytes: 1.5 * MIB,
    }
    .check();
}

/// Two messages that never end, of pieces that are empty or nearly so: one for each worker of a small machine. No limit ends
/// them here, so that it is the turns that are fair.
#[test]
fn messages_of_endless_tiny_fragments_are_borne() {
    for attackers in [2, 8] {
        let pieces = [frame(0, b"").repeat(49), frame(0, b"x")].concat();
        Flood {
            what: "fragments",
            settings: &["limits.fragments_per_message_max=1000000000"],
            attackers,
            path: "/ws",
            opening: frame(1, b""),
            round: pieces.repeat(100),
            each_bytes: 0.5 * MIB,
        }
        .check();
    }
}

#[test]
fn messages_of_one_byte_without_end_are_borne() {
    Flood {
        what: "messages of one byte",
        settings: &["limits.outbox_bytes_max=1MiB", "limits.inbox_bytes_max=8MiB"],
        attackers: 4,
        path: "/topics/tiny?echo=false",
        opening: Vec::new(),
        round: frame(0x82, b"x").repeat(2_000),
        // An unread outbox may hold its bound in bytes and as much again in pieces; each inbox is shared.
        each_bytes: 2.5 * MIB,
    }
    .check();
}

#[test]
fn a_message_of_more_fragments_than_is_allowed_is_the_end_of_its_session_only() {
    let broker = Broker::with(&["limits.fragments_per_message_max=1000"]);
    let mut honest = Honest::begin(&broker);
    let mut socket = WebSocket::open(broker.address(), "/ws");
    // A thousand frames are a message, over and over; a ping among them is none of its.
    let rest = [frame(0, b"").repeat(998), frame(0x80, b"")].concat();
    for _ in 0..2 {
        let first = frame(1, br#"{"type":"ping","id":7}"#);
        socket.send_raw(&[first, frame(0x89, b""), rest.clone()].concat());
        assert_eq!(socket.read().opcode, Opcode::PONG);
        assert_eq!(socket.read_json()["id"], 7);
    }
    socket.send_raw(&[frame(1, b"{"), frame(0, b"").repeat(999)].concat());
    let closing = socket.check_closing(1009);
    let reason = closing["reason"].as_str().expect("a reason");
    assert!(reason.contains("limits.fragments_per_message_max"), "{reason}");
    broker.await_metric("fanwire_closes_total{reason=\"too_big\"}", 1.0);
    honest.check();
}

#[test]
fn a_crowd_that_does_not_read_costs_no_more_than_its_outboxes() {
    const DEAF: usize = 200;
    let broker = Broker::with(&["limits.outbox_bytes_max=256KiB", "limits.message_bytes_max=64KiB"]);
    let mut honest = Honest::begin(&broker);
    let before = resident(&broker);
    let deaf: Vec<WebSocket> =
        (0..DEAF).map(|_| WebSocket::open(broker.address(), "/topics/flood")).collect();
    for _ in 0..200 {
        let answer = post(broker.address(), "/topics/flood", "application/octet-stream", &[b'x'; 60_000]);
        assert_eq!(answer.status, 200);
    }
    honest.check_served_at_once();
    check_grown("deaf sessions", before, resident(&broker), DEAF, 256.0 * 1024.0);
    eventually("all of them are closed", || {
        let name = "fanwire_closes_total{reason=\"too_slow\"}";
        (broker.metric(name) >= DEAF as f64).then_some(())
    });
    drop(deaf);
}

#[test]
fn newcomers_are_served_while_thousands_come_back_at_once() {
    let broker = Broker::start(&[]);
    let (count, _descriptors) = affordable(2_000);
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        let _end = End(&is_over);
        for _ in 0..4 {
            scope.spawn(|| {
                // As after a restart of the network: every client connects, is served, and is cut off again.
                while !is_over.load(Ordering::Relaxed) {
                    let crowd: Vec<WebSocket> =
                        (0..count / 40).map(|_| WebSocket::open(broker.address(), "/ws")).collect();
                    drop(crowd);
                }
            });
        }
        let mut honest = Honest::begin(&broker);
        for _ in 0..10 {
            honest.check_served_at_once();
        }
    });
    let mut http = Http::connect(broker.address());
    http.send(b"GET /readyz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    assert_eq!(http.read().status, 200);
}
