//! Connections that are cut at random while a publisher runs at full speed: everything arrives once and in order, over every
//! transport that can resume.

use std::net::SocketAddr;

use fanwire_protocol::{
    ClientFrame, Cursor, Position, Reply, Request, ServerFrame, Since, SubscribeOptions, msgpack,
};
use fanwire_tests::{Broker, DataDirectory, Events, Opcode, WebSocket, get};
use serde_json::{Value, json};

use crate::fixtures::numbers::{Numbers, random};

/// How often each reader is cut.
const CUTS: usize = 40;

/// What one connection has heard before it was cut, and the cursor to come back with.
struct Leg {
    numbers: Vec<usize>,
    cursor: String,
}

fn number(text: &str) -> usize {
    text.parse().expect("a number")
}

/// Reads from a broker that keeps everything in memory, and from one that keeps it on disk.
fn check(topics: &[&str], read: impl Fn(SocketAddr, &str, usize) -> Leg) {
    let rule = "[[topic]]\nmatch = '>'\nhistory = { messages = 100000 }\n";
    check_broker(&Broker::with_file(rule, &["--workers", "2"]), topics, &read);
    let directory = DataDirectory::new();
    check_broker(&directory.serve("[[topic]]\nmatch = '>'\ndurable = true\n"), topics, &read);
}

/// Reads in legs: `read` opens a connection at a cursor, reads so many numbers and leaves it without a word.
fn check_broker(broker: &Broker, topics: &[&str], read: &impl Fn(SocketAddr, &str, usize) -> Leg) {
    let mut random = random();
    let mut numbers = Numbers::begin(broker.address(), topics);
    let mut heard: Vec<usize> = Vec::new();
    let mut cursor = "earliest".to_owned();
    for _ in 0..CUTS {
        numbers.allow(random.usize(1..300));
        let count = random.usize(1..=numbers.allowed - heard.len());
        let leg = read(broker.address(), &cursor, count);
        assert_eq!(leg.numbers.len(), count, "at {cursor}");
        heard.extend(leg.numbers);
        cursor = leg.cursor;
    }
    let rest = numbers.allowed - heard.len();
    numbers.finish();
    if rest > 0 {
        heard.extend(read(broker.address(), &cursor, rest).numbers);
    }
    for turn in 0..topics.len() {
        let own: Vec<_> = heard.iter().filter(|number| **number % topics.len() == turn).collect();
        assert!(own.is_sorted(), "the order of {}: {own:?}", topics[turn]);
    }
    heard.sort_unstable();
    let (first_wrong, total) =
        (heard.iter().enumerate().find(|(index, number)| index != *number), heard.len());
    assert_eq!(first_wrong, None, "of {total} numbers, this is the first lost or doubled");
}

fn cursor_of(frame: &Value) -> String {
    format!("{}:{}", frame["epoch"].as_str().expect("an epoch"), frame["offset"])
}

fn read_session(address: SocketAddr, since: &Value, count: usize) -> Leg {
    let mut socket = WebSocket::open(address, "/ws");
    let reply = socket.ask(&json!({"type": "subscribe", "id": 1, "topic": "cut", "since": since}));
    assert_eq!((&reply["type"], &reply["recovered"]), (&json!("subscribed"), &json!(true)), "{reply}");
    let frames: Vec<Value> = (0..count).map(|_| socket.read_json()).collect();
    Leg {
        numbers: frames.iter().map(|frame| number(frame["data"].as_str().expect("text"))).collect(),
        cursor: cursor_of(frames.last().expect("at least one")),
    }
}

#[test]
fn a_session_cut_again_and_again_sees_everything_once() {
    check(&["cut"], |address, cursor, count| read_session(address, &json!(cursor), count));
}

#[test]
fn a_session_that_resumes_from_positions_sees_everything_once() {
    check(&["cut"], |address, cursor, count| {
        let since = match cursor.split_once(':') {
            Some((epoch, offset)) => json!({"epoch": epoch, "offset": number(offset)}),
            None => json!(cursor),
        };
        read_session(address, &since, count)
    });
}

#[test]
fn a_session_in_msgpack_cut_again_and_again_sees_everything_once() {
    check(&["cut"], |address, cursor, count| {
        let since = match cursor {
            "earliest" => Since::Earliest,
            cursor => Since::Cursor(cursor.parse().expect("a cursor")),
        };
        let options = SubscribeOptions { since: Some(since), ..SubscribeOptions::default() };
        let request = Request::Subscribe { pattern: "cut".parse().expect("a topic"), options };
        let mut bytes = Vec::new();
        msgpack::encode_client(&ClientFrame { id: Some(1), request }, &mut bytes);
        let mut socket = WebSocket::open_msgpack(address);
        socket.send_frame(true, Opcode::BINARY, &bytes);
        let reply = msgpack::decode_server(&socket.read().payload).expect("a frame");
        let is_recovered = |reply: &Reply| matches!(reply, Reply::Subscribed { recovered: true, .. });
        assert!(matches!(&reply, ServerFrame::Reply { reply, .. } if is_recovered(reply)), "{reply:?}");
        let mut last: Option<Position> = None;
        let mut next = || match msgpack::decode_server(&socket.read().payload) {
            Ok(ServerFrame::Message(message)) => {
                last = message.position;
                number(std::str::from_utf8(&message.payload.to_bare()).expect("text"))
            }
            other => panic!("expected a message, got {other:?}"),
        };
        let numbers = (0..count).map(|_| next()).collect();
        Leg { numbers, cursor: Cursor::one(last.expect("it has a position")).to_string() }
    });
}

#[test]
fn a_session_with_many_topics_resumes_each_of_them() {
    const TOPICS: [&str; 3] = ["cut.a", "cut.b", "cut.c"];
    check(&TOPICS, |address, cursors, count| {
        let mut cursors: Vec<String> = match cursors {
            "earliest" => vec!["earliest".to_owned(); TOPICS.len()],
            cursors => cursors.split(' ').map(str::to_owned).collect(),
        };
        let mut socket = WebSocket::open(address, "/ws");
        for (topic, since) in TOPICS.iter().zip(&cursors) {
            // No wait for the reply: messages of one topic and replies about others come in any order.
            socket.send_json(&json!({"type": "subscribe", "id": 1, "topic": topic, "since": since}));
        }
        let mut numbers = Vec::new();
        while numbers.len() < count {
            let frame = socket.read_json();
            if frame["type"] == "subscribed" {
                assert_eq!(frame["recovered"], true, "{frame}");
                continue;
            }
            let turn = TOPICS.iter().position(|topic| frame["topic"] == *topic).expect("a topic");
            cursors[turn] = cursor_of(&frame);
            numbers.push(number(frame["data"].as_str().expect("text")));
        }
        Leg { numbers, cursor: cursors.join(" ") }
    });
}

/// Reads a stream of events that begins at the cursor, said as the browser would.
fn read_events(address: SocketAddr, path: &str, headers: &str, count: usize) -> Leg {
    let mut events = Events::open(address, path, headers);
    let numbers = (0..count).map(|_| number(&events.next_data())).collect();
    Leg { numbers, cursor: events.last_event_id.expect("every event has an id") }
}

#[test]
fn an_event_stream_cut_again_and_again_sees_everything_once() {
    check(&["cut"], |address, cursor, count| {
        // A browser that comes back repeats the URL as it was; what it says last counts.
        let headers = format!("Last-Event-ID: {cursor}\r\n");
        read_events(address, "/topics/cut?since=earliest", &headers, count)
    });
}

#[test]
fn an_event_stream_that_begins_at_a_cursor_sees_everything_once() {
    check(&["cut"], |address, cursor, count| {
        read_events(address, &format!("/topics/cut?since={cursor}"), "", count)
    });
}

#[test]
fn an_event_stream_of_several_topics_has_one_cursor_for_all() {
    check(&["cut.a", "cut.b", "cut.c"], |address, cursor, count| {
        let path = "/stream?topic=cut.a&topic=cut.b&topic=cut.c&since=earliest";
        read_events(address, path, &format!("Last-Event-ID: {cursor}\r\n"), count)
    });
}

#[test]
fn an_event_stream_in_envelopes_resumes_too() {
    check(&["cut"], |address, cursor, count| {
        let path = format!("/topics/cut?envelope=true&since={cursor}");
        let mut events = Events::open(address, &path, "");
        let frames: Vec<Value> = (0..count)
            .map(|_| serde_json::from_str(&events.next_data()).expect("an envelope is JSON"))
            .collect();
        let cursor = cursor_of(frames.last().expect("at least one"));
        assert_eq!(events.last_event_id, Some(cursor.clone()), "id and envelope say the same");
        let text = |frame: &Value| number(frame["data"].as_str().expect("text"));
        Leg { numbers: frames.iter().map(text).collect(), cursor }
    });
}

/// Polls from the cursor until `count` numbers have come, never asking for more than are wanted.
fn read_polls(address: SocketAddr, path: &str, cursor: &str, count: usize) -> Leg {
    let mut leg = Leg { numbers: Vec::new(), cursor: cursor.to_owned() };
    while leg.numbers.len() < count {
        let limit = (count - leg.numbers.len()).min(90);
        let answer = get(address, &format!("{path}wait=15&limit={limit}&since={}", leg.cursor)).json();
        assert_eq!(answer["gap"], false, "{answer}");
        let messages = answer["messages"].as_array().expect("a list");
        assert!((1..=limit).contains(&messages.len()), "{} of {limit}", messages.len());
        leg.numbers.extend(messages.iter().map(|message| number(message["data"].as_str().expect("text"))));
        answer["cursor"].as_str().expect("a cursor").clone_into(&mut leg.cursor);
    }
    leg
}

#[test]
fn a_chain_of_polls_sees_everything_once() {
    check(&["cut"], |address, cursor, count| read_polls(address, "/topics/cut?", cursor, count));
}

#[test]
fn a_chain_of_polls_over_several_topics_has_one_cursor_for_all() {
    check(&["cut.a", "cut.b", "cut.c"], |address, cursor, count| {
        read_polls(address, "/stream?topic=cut.a&topic=cut.b&topic=cut.c&", cursor, count)
    });
}

#[test]
fn a_bare_socket_opened_at_the_cursor_of_the_history_sees_everything_once() {
    check(&["cut"], |address, cursor, count| {
        let mut socket = WebSocket::open(address, &format!("/topics/cut?since={cursor}"));
        let text = |_| String::from_utf8(socket.read().payload).expect("text");
        let numbers: Vec<usize> = (0..count).map(text).map(|text| number(&text)).collect();
        drop(socket);
        // Bare messages have no positions: where the socket stood is read from the history, which must show the same.
        let history = read_polls(address, "/topics/cut?", cursor, count);
        assert_eq!(history.numbers, numbers);
        Leg { numbers, cursor: history.cursor }
    });
}

#[test]
fn a_poll_and_a_stream_and_a_session_share_one_cursor() {
    let turn = std::cell::Cell::new(0);
    check(&["cut"], |address, cursor, count| {
        turn.set(turn.get() + 1);
        match turn.get() % 3 {
            0 => read_polls(address, "/topics/cut?", cursor, count),
            1 => read_events(address, &format!("/topics/cut?since={cursor}"), "", count),
            _ => read_session(address, &json!(cursor), count),
        }
    });
}
