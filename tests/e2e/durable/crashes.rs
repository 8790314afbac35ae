//! `kill -9` at full speed, again and again: every acknowledged publication is there once and where it was said to be, and
//! every subscriber that resumes sees each exactly once and in order.

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::sync::{Barrier, Mutex};
use std::thread;
use std::time::Duration;

use fanwire_tests::{Broker, DataDirectory, WebSocket, get};
use serde_json::{Value, json};

use super::DURABLE;
use crate::fixtures::cutting_proxy::CuttingProxy;
use crate::fixtures::numbers::random;

/// How often the broker is killed.
const ROUNDS: usize = 10;

const TOPICS: [&str; 3] = ["crash.a", "crash.b", "crash.c"];

/// The number of publishers of each topic.
const PUBLISHERS: usize = 2;

/// How many publications a publisher has on their way at once.
const WINDOW: usize = 64;

/// A publisher that repeats what was not acknowledged, under the same idempotency key, until it is.
struct Publisher {
    name: String,
    topic: &'static str,
    next: usize,
    /// What was sent and not acknowledged, by request id, which is also its number.
    open: BTreeMap<usize, String>,
    /// Where each publication stands, by its text.
    acknowledged: HashMap<String, (String, u64)>,
}

impl Publisher {
    /// Publishes until the connection is gone.
    fn run(&mut self, mut socket: WebSocket) {
        for (id, text) in &self.open {
            socket.send_json(&request(*id, self.topic, text));
        }
        loop {
            while self.open.len() < WINDOW {
                let text = format!("{}-{}", self.name, self.next);
                socket.send_json(&request(self.next, self.topic, &text));
                self.open.insert(self.next, text);
                self.next += 1;
            }
            let Some(frame) = socket.try_read_json() else { return };
            if frame["type"] == "closing" {
                continue;
            }
            assert_eq!(frame["type"], "published", "{frame}");
            let id = frame["id"].as_u64().expect("an id") as usize;
            let text = self.open.remove(&id).expect("it was sent once");
            let position = (
                frame["epoch"].as_str().expect("text").to_owned(),
                frame["offset"].as_u64().expect("a number"),
            );
            self.acknowledged.insert(text, position);
        }
    }
}

fn request(id: usize, topic: &str, text: &str) -> Value {
    json!({"type": "publish", "id": id, "topic": topic, "data": text, "key": text})
}

/// A subscriber that comes back to where it was.
struct Subscriber {
    topic: &'static str,
    since: Value,
    seen: Vec<(u64, String)>,
}

impl Subscriber {
    /// Reads until the connection is gone.
    fn run(&mut self, mut socket: WebSocket) {
        socket.send_json(&json!({"type": "subscribe", "id": 1, "topic": self.topic, "since": self.since}));
        while let Some(frame) = socket.try_read_json() {
            match frame["type"].as_str() {
                Some("subscribed") => assert_eq!(frame["recovered"], true, "{frame}"),
                Some("message") => {
                    let offset = frame["offset"].as_u64().expect("a number");
                    self.seen.push((offset, frame["data"].as_str().expect("text").to_owned()));
                    self.since = json!({"epoch": frame["epoch"], "offset": offset});
                }
                Some("closing") => {}
                _ => panic!("{frame}"),
            }
        }
    }
}

/// Everything the topic holds.
fn history(address: SocketAddr, topic: &str) -> Vec<(u64, String)> {
    let mut cursor = "earliest".to_owned();
    let mut all = Vec::new();
    loop {
        let page = get(address, &format!("/topics/{topic}?since={cursor}&limit=1000")).json();
        assert_eq!(page["gap"], false);
        for message in page["messages"].as_array().expect("a list") {
            let text = message["data"].as_str().expect("text").to_owned();
            all.push((message["offset"].as_u64().expect("a number"), text));
        }
        page["cursor"].as_str().expect("a cursor").clone_into(&mut cursor);
        if page["more"] == false {
            return all;
        }
    }
}

fn check(topic: &str, held: &[(u64, String)], publishers: &[Publisher], subscribers: &[Subscriber]) {
    assert!(held.windows(2).all(|pair| pair[0].0 < pair[1].0), "offsets grow");
    let by_offset: HashMap<u64, &String> = held.iter().map(|(offset, text)| (*offset, text)).collect();
    let mut texts: Vec<_> = held.iter().map(|(_, text)| text).collect();
    texts.sort();
    let count = texts.len();
    texts.dedup();
    assert_eq!(texts.len(), count, "no publication of {topic} is there twice");
    let mut acknowledged = 0;
    for publisher in publishers.iter().filter(|publisher| publisher.topic == topic) {
        acknowledged += publisher.acknowledged.len();
        for (text, (_, offset)) in &publisher.acknowledged {
            assert_eq!(by_offset.get(offset), Some(&text), "acknowledged at {offset} of {topic}");
        }
        let own: Vec<usize> = held
            .iter()
            .filter_map(|(_, text)| text.strip_prefix(&format!("{}-", publisher.name))?.parse().ok())
            .collect();
        assert!(own.is_sorted(), "what {} published is in the order in which it did", publisher.name);
    }
    assert!(acknowledged > ROUNDS, "{acknowledged} were acknowledged in {topic}");
    for subscriber in subscribers.iter().filter(|subscriber| subscriber.topic == topic) {
        let first_wrong = subscriber.seen.iter().zip(held).position(|(seen, held)| seen != held);
        assert_eq!(first_wrong, None, "a subscriber of {topic} saw something else than what is held");
        assert_eq!(subscriber.seen.len(), held.len(), "a subscriber of {topic} saw all");
    }
}

fn publishers() -> Vec<Publisher> {
    let publisher = |number: usize| Publisher {
        name: format!("p{number}"),
        topic: TOPICS[number % TOPICS.len()],
        next: 0,
        open: BTreeMap::new(),
        acknowledged: HashMap::new(),
    };
    (0..TOPICS.len() * PUBLISHERS).map(publisher).collect()
}

fn subscribers() -> Vec<Subscriber> {
    let subscriber = |topic| Subscriber { topic, since: json!("earliest"), seen: Vec::new() };
    TOPICS.into_iter().chain(TOPICS).map(subscriber).collect()
}

/// Runs a client over one connection after the other, as long as there is a broker to come back to.
fn come_back(
    first: Option<WebSocket>,
    again: impl Fn() -> Option<Option<WebSocket>>,
    mut run: impl FnMut(WebSocket),
) {
    let mut socket = first;
    loop {
        if let Some(socket) = socket {
            run(socket);
        }
        let Some(next) = again() else { return };
        socket = next;
    }
}

/// One life of a broker, with all clients at full speed until it is killed.
fn live_and_die(
    (broker, address): (Broker, SocketAddr),
    is_proxied: bool,
    publishers: &mut [Publisher],
    subscribers: &mut [Subscriber],
    life: Duration,
) {
    let all_there = Barrier::new(publishers.len() + subscribers.len() + 1);
    let broker = Mutex::new(Some(broker));
    let first = || {
        let first = WebSocket::attempt(address, "/ws");
        all_there.wait();
        first
    };
    let again = || {
        let is_there = is_proxied && broker.lock().expect("no thread panics under it").is_some();
        is_there.then(|| WebSocket::attempt(address, "/ws"))
    };
    let (first, again) = (&first, &again);
    thread::scope(|scope| {
        for publisher in publishers {
            scope.spawn(move || come_back(first(), again, |socket| publisher.run(socket)));
        }
        for subscriber in subscribers {
            scope.spawn(move || come_back(first(), again, |socket| subscriber.run(socket)));
        }
        all_there.wait();
        // How long they are let run is what is random here; nothing is waited for.
        thread::sleep(life);
        let broker = broker.lock().expect("no thread panics under it").take();
        broker.expect("it runs").kill();
    });
}

/// Runs publishers and subscribers through crashes; `is_proxied` says whether their connections are cut, delayed and trickled,
/// too.
fn run(is_proxied: bool) {
    let mut random = random();
    let directory = DataDirectory::new();
    let (mut publishers, mut subscribers) = (publishers(), subscribers());
    for _ in 0..ROUNDS {
        let broker = directory.serve(DURABLE);
        let proxy = is_proxied.then(|| CuttingProxy::begin_rough(broker.address(), 60_000, random.fork()));
        let address = proxy.as_ref().map_or(broker.address(), CuttingProxy::address);
        let life = Duration::from_millis(random.u64(20..250));
        live_and_die((broker, address), is_proxied, &mut publishers, &mut subscribers, life);
    }
    let broker = directory.serve(DURABLE);
    let held: Vec<_> = TOPICS.iter().map(|topic| history(broker.address(), topic)).collect();
    for subscriber in &mut subscribers {
        let turn = TOPICS.iter().position(|topic| *topic == subscriber.topic).expect("a topic");
        finish(subscriber, broker.address(), held[turn].len());
    }
    for (topic, held) in TOPICS.iter().zip(&held) {
        check(topic, held, &publishers, &subscribers);
    }
}

/// Lets a subscriber see the rest.
fn finish(subscriber: &mut Subscriber, address: SocketAddr, wanted: usize) {
    let mut socket = WebSocket::open(address, "/ws");
    let request = json!({"type": "subscribe", "id": 1, "topic": subscriber.topic, "since": subscriber.since});
    let reply = socket.ask(&request);
    assert_eq!(reply["recovered"], true, "{reply}");
    while subscriber.seen.len() < wanted {
        let frame = socket.read_json();
        let offset = frame["offset"].as_u64().expect("a number");
        subscriber.seen.push((offset, frame["data"].as_str().expect("text").to_owned()));
    }
}

#[test]
fn nothing_acknowledged_is_lost_and_nothing_is_seen_twice_over_kills() {
    run(false);
}

#[test]
fn nor_over_kills_and_connections_that_are_cut_late_and_slow() {
    run(true);
}
