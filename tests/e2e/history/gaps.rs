//! Short histories: a loss is told whenever there is one, and only then, over every transport.

use std::net::SocketAddr;

use fanwire_tests::{Broker, Events, WebSocket, eventually, get, request};
use serde_json::{Value, json};

use crate::fixtures::numbers::{Numbers, random};
use crate::fixtures::texts::publish;

/// How many publications the topics of these tests keep.
const KEPT: usize = 40;

fn broker() -> Broker {
    let rule = format!("[[topic]]\nmatch = '>'\nhistory = {{ messages = {KEPT} }}\n");
    Broker::with_file(&rule, &["--workers", "2"])
}

fn number(text: &str) -> usize {
    text.parse().expect("a number")
}

/// One connection, as a reader that must notice each loss sees it.
trait Connection {
    /// Whether the broker said at the start that something was lost.
    fn is_gap(&self) -> bool;
    /// The next number, and the cursor after it.
    fn next(&mut self) -> (usize, String);
}

/// Reads over connections that are cut at random. At each start the broker must say that something was lost exactly when
/// the first number is not the one after the last.
fn check<C: Connection>(open: impl Fn(SocketAddr, &str) -> C) {
    let (broker, mut random) = (broker(), random());
    let mut numbers = Numbers::begin(broker.address(), &["gaps"]);
    let answer = get(broker.address(), "/topics/gaps").json();
    let mut cursor = answer["cursor"].as_str().expect("a cursor").to_owned();
    let (mut next, mut losses, mut recoveries) = (0, 0, 0);
    while losses < 10 || recoveries < 10 {
        assert!(losses + recoveries < 1_000, "{losses} losses, {recoveries} recoveries");
        numbers.allow(random.usize(1..KEPT * 2));
        let mut connection = open(broker.address(), &cursor);
        let (first, after) = connection.next();
        assert_eq!(connection.is_gap(), first != next, "{first} came where {next} was next, at {cursor}");
        assert!(first >= next, "{first} was heard before {next}");
        *(if first == next { &mut recoveries } else { &mut losses }) += 1;
        (next, cursor) = (first + 1, after);
        while next < numbers.allowed && random.u8(..) > 4 {
            let (number, after) = connection.next();
            assert_eq!(number, next, "nothing is lost on a connection that lasts");
            (next, cursor) = (number + 1, after);
        }
    }
    numbers.finish();
}

struct SessionConnection {
    socket: WebSocket,
    is_gap: bool,
}

impl Connection for SessionConnection {
    fn is_gap(&self) -> bool {
        self.is_gap
    }

    fn next(&mut self) -> (usize, String) {
        let frame = self.socket.read_json();
        let cursor = format!("{}:{}", frame["epoch"].as_str().expect("an epoch"), frame["offset"]);
        (number(frame["data"].as_str().expect("text")), cursor)
    }
}

#[test]
fn a_session_is_told_of_every_loss_and_of_no_other() {
    check(|address, cursor| {
        let mut socket = WebSocket::open(address, "/ws");
        let reply = socket.ask(&json!({"type": "subscribe", "id": 1, "topic": "gaps", "since": cursor}));
        SessionConnection { socket, is_gap: !reply["recovered"].as_bool().expect("it says whether") }
    });
}

struct EventsConnection {
    events: Events,
    is_gap: bool,
}

impl Connection for EventsConnection {
    fn is_gap(&self) -> bool {
        self.is_gap
    }

    fn next(&mut self) -> (usize, String) {
        let mut event = self.events.next_event().expect("an event");
        if event.kind == "gap" {
            assert!(!self.is_gap, "one gap is told once");
            self.is_gap = true;
            event = self.events.next_event().expect("what is held follows");
        }
        assert_eq!(event.kind, "message", "{event:?}");
        (number(&event.data), event.id.expect("every event has an id"))
    }
}

#[test]
fn an_event_stream_is_told_of_every_loss_and_of_no_other() {
    check(|address, cursor| {
        let events = Events::open(address, "/topics/gaps", &format!("Last-Event-ID: {cursor}\r\n"));
        EventsConnection { events, is_gap: false }
    });
}

struct Polls {
    address: SocketAddr,
    cursor: String,
    is_gap: bool,
}

impl Connection for Polls {
    fn is_gap(&self) -> bool {
        self.is_gap
    }

    fn next(&mut self) -> (usize, String) {
        let path = format!("/topics/gaps?wait=15&limit=1&since={}", self.cursor);
        let answer = get(self.address, &path).json();
        self.is_gap = answer["gap"] == true;
        answer["cursor"].as_str().expect("a cursor").clone_into(&mut self.cursor);
        let data = answer["messages"][0]["data"].as_str().expect("one message");
        (number(data), self.cursor.clone())
    }
}

#[test]
fn a_poll_is_told_of_every_loss_and_of_no_other() {
    let (broker, mut random) = (broker(), random());
    let mut numbers = Numbers::begin(broker.address(), &["gaps"]);
    let start = get(broker.address(), "/topics/gaps").json();
    let cursor = start["cursor"].as_str().expect("a cursor").to_owned();
    let mut polls = Polls { address: broker.address(), cursor, is_gap: false };
    let (mut next, mut losses, mut recoveries) = (0, 0, 0);
    while losses < 10 || recoveries < 10 {
        assert!(losses + recoveries < 2_000, "{losses} losses, {recoveries} recoveries");
        numbers.allow(random.usize(1..KEPT * 2));
        let newest = (numbers.allowed - 1).to_string();
        eventually("all that is allowed is published", || {
            let answer = get(broker.address(), "/topics/gaps?reverse=true&limit=1").json();
            (answer["messages"][0]["data"] == newest.as_str()).then_some(())
        });
        for _ in 0..random.usize(1..KEPT) {
            if next == numbers.allowed {
                break;
            }
            let (number, _) = polls.next();
            assert_eq!(polls.is_gap(), number != next, "{number} came where {next} was next");
            *(if number == next { &mut recoveries } else { &mut losses }) += 1;
            next = number + 1;
        }
    }
    numbers.finish();
}

#[test]
fn what_is_older_than_its_time_is_gone_and_told_so() {
    let rule = "[[topic]]\nmatch = 'brief'\nhistory = { messages = 100, ttl = '1s' }\n";
    let broker = Broker::with_file(rule, &[]);
    let start = get(broker.address(), "/topics/brief").json();
    let receipt = publish(broker.address(), "brief", "soon gone");
    let read = |cursor: &Value| {
        get(broker.address(), &format!("/topics/brief?since={}", cursor.as_str().expect("a cursor"))).json()
    };
    let held = read(&start["cursor"]);
    assert_eq!((&held["gap"], &held["messages"][0]["data"]), (&json!(false), &json!("soon gone")));
    let gone = eventually("its time is up", || {
        let answer = read(&start["cursor"]);
        (answer["messages"] == json!([])).then_some(answer)
    });
    assert_eq!(gone["gap"], true, "it was lost for a reader that had not seen it");
    assert_eq!(read(&held["cursor"])["gap"], false, "and for no other");
    let position = json!({"epoch": receipt["epoch"], "offset": receipt["offset"]});
    for (since, recovered) in [(position, true), (start["cursor"].clone(), false), (json!("earliest"), true)]
    {
        let mut socket = WebSocket::open(broker.address(), "/ws");
        let reply = socket.ask(&json!({"type": "subscribe", "id": 1, "topic": "brief", "since": since}));
        assert_eq!(
            (&reply["recovered"], &reply["offset"]),
            (&json!(recovered), &receipt["offset"]),
            "{since}"
        );
    }
}

#[test]
fn a_cursor_of_another_topic_says_nothing_here() {
    let broker = broker();
    let (here, there) = (publish(broker.address(), "here", "x"), publish(broker.address(), "there", "y"));
    assert_ne!(here["epoch"], there["epoch"]);
    let cursor = format!("{}:{}", there["epoch"].as_str().expect("text"), there["offset"]);
    let answer = get(broker.address(), &format!("/topics/here?since={cursor}")).json();
    assert_eq!((&answer["gap"], &answer["messages"][0]["data"]), (&json!(true), &json!("x")));
    // A cursor over several topics holds a place in each of those, and in no other.
    let both = get(broker.address(), "/stream?topic=here&topic=there").json();
    let cursor = both["cursor"].as_str().expect("a cursor");
    for (path, gap) in [("/topics/here?", false), ("/topics/there?", false), ("/topics/elsewhere?", true)] {
        let answer = get(broker.address(), &format!("{path}since={cursor}")).json();
        assert_eq!((&answer["gap"], &answer["messages"]), (&json!(gap), &json!([])), "{path}");
    }
}

#[test]
fn a_bare_socket_is_not_opened_where_it_would_begin_with_a_gap() {
    let broker = broker();
    let start = get(broker.address(), "/topics/bare").json();
    let start = start["cursor"].as_str().expect("a cursor");
    for index in 0..=KEPT {
        publish(broker.address(), "bare", &index.to_string());
    }
    let handshake = format!(
        "GET /topics/bare?since={start} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    );
    request(broker.address(), &handshake).check_problem(409, "unavailable");
    let mut socket = WebSocket::open(broker.address(), "/topics/bare?since=earliest");
    assert_eq!(socket.read().payload, b"1", "the oldest held");
}

#[test]
fn a_topic_that_keeps_nothing_still_tells_of_a_loss_between_two_polls() {
    let broker = Broker::with_file("[[topic]]\nmatch = 'mute'\nhistory = false\n", &[]);
    let address = broker.address();
    let poll = std::thread::spawn(move || get(address, "/topics/mute?wait=15").json());
    broker.await_metric("fanwire_connections{transport=\"poll\"}", 1.0);
    publish(address, "mute", "heard");
    let answer = poll.join().expect("the poll is answered");
    assert_eq!((&answer["messages"][0]["data"], &answer["gap"]), (&json!("heard"), &json!(false)));
    for field in ["offset", "epoch", "ts"] {
        assert_eq!(answer["messages"][0].get(field), None, "a topic without history has no {field}");
    }
    let path = format!("/topics/mute?wait=0.05&since={}", answer["cursor"].as_str().expect("a cursor"));
    assert_eq!(get(address, &path).json()["gap"], false, "nothing was published in between");
    publish(address, "mute", "missed");
    assert_eq!(get(address, &path).json()["gap"], true);
}
