//! Positions that no client can resume from: positions from the future, of other epochs or out of all bounds, cursors and moments
//! written by hand, and pages without room. Each gets a clear error, or what is held and a word that there may have been more.

use std::net::SocketAddr;

use fanwire_tests::{Broker, DataDirectory, Events, Response, WebSocket, get, post};
use serde_json::{Value, json};

use crate::fixtures::honest::Honest;

/// Topics in memory and on disk, of which the newest three publications are kept.
const RULES: &str = "
[[topic]]
match = 'disk.>'
durable = true
history = { messages = 3 }

[[topic]]
match = 'memory.>'
history = { messages = 3 }
";

const TOPICS: [&str; 2] = ["memory.t", "disk.t"];

/// What is still held after [`publish_five`].
const HELD: [&str; 3] = ["3", "4", "5"];

fn publish_five(address: SocketAddr, topic: &str) -> Value {
    let receipts = ["1", "2", "3", "4", "5"].map(|text| {
        let answer = post(address, &format!("/topics/{topic}"), "text/plain", text.as_bytes());
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.json()
    });
    receipts[4].clone()
}

fn texts(messages: &Value) -> Vec<&str> {
    let messages = messages.as_array().expect("a list of messages");
    messages.iter().map(|message| message["data"].as_str().expect("text")).collect()
}

/// A GET with more headers, each ended by CRLF.
fn ask(address: SocketAddr, path: &str, headers: &str) -> Response {
    let head = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n{headers}\r\n");
    fanwire_tests::request(address, &head)
}

#[test]
fn what_names_no_place_is_refused_on_every_transport() {
    let broker = Broker::start(&[]);
    let mut honest = Honest::begin(&broker);
    let address = broker.address();
    for since in [
        "",
        "latest",
        "17",
        "-17",
        "abc",
        "abc:",
        ":1",
        "abc:-1",
        "abc:%2B1",
        "abc:1.5",
        "abc:1e3",
        "abc:18446744073709551616",
        "m.x",
        "m.AAAA",
        "M.",
        "-10m",
        "10",
        "10min",
        "1.5h",
        "99999999999999999999d",
        "18446744073709551615d",
        "2026-11-21",
        "2026-11-21T06:40",
        "2026-11-21T06:40:00",
        "2026-02-30T00:00:00Z",
        "1969-12-31T23:59:59Z",
        "%00",
        "%FF",
        "earliest%20",
        "EARLIEST",
    ] {
        let stream = format!("/stream?topic=a&topic=b&since={since}");
        for path in
            [format!("/topics/a?since={since}"), stream, format!("/topics/a?reverse=true&since={since}")]
        {
            let answer = get(address, &path);
            answer.check_problem(400, "bad_frame");
            assert!(answer.text().contains("since: "), "{path}: {}", answer.text());
        }
        for headers in ["", "Accept: text/event-stream\r\n"] {
            let path = format!("/topics/a?since={since}");
            let refused = ask(address, &path, headers);
            refused.check_problem(400, "bad_frame");
        }
        let refused = WebSocket::try_open(address, &format!("/topics/a?since={since}"), "");
        assert_eq!(refused.err().map(|answer| answer.status), Some(400), "{since}");
        let plain = !since.is_empty() && !since.contains('%');
        if plain {
            // An error would end a browser's EventSource for good.
            let mut events = Events::open(address, "/topics/a", &format!("Last-Event-ID: {since}\r\n"));
            assert_eq!(events.next_event().map(|event| event.kind), Some("gap".to_owned()), "{since}");
        }
    }
    honest.check();
}

#[test]
fn a_page_without_room_is_refused_and_nothing_else_is_disturbed() {
    let broker = Broker::start(&[]);
    let mut honest = Honest::begin(&broker);
    let address = broker.address();
    for query in
        ["limit=0", "limit=-1", "limit=", "limit=1.5", "limit=99999999999999999999", "limit=0&reverse=true"]
    {
        for path in [format!("/topics/a?{query}"), format!("/stream?topic=a&topic=b&{query}")] {
            get(address, &path).check_problem(400, "bad_frame");
        }
    }
    get(address, "/topics/a?reverse=true&wait=5").check_problem(400, "bad_frame");
    let headers = "Accept: text/event-stream\r\n";
    ask(address, "/topics/a?reverse=true", headers).check_problem(400, "bad_frame");
    let refused = WebSocket::try_open(address, "/topics/a?reverse=true", "");
    assert_eq!(refused.err().map(|answer| answer.status), Some(400));
    let mut socket = WebSocket::open(address, "/ws");
    for reverse in [false, true] {
        let request = json!({"type": "history", "id": 1, "topic": "a", "limit": 0, "reverse": reverse});
        let reply = socket.ask(&request);
        assert_eq!((&reply["type"], &reply["code"]), (&json!("error"), &json!("bad_frame")), "{reply}");
        assert!(reply["message"].as_str().is_some_and(|message| message.contains("limit")), "{reply}");
    }
    // To begin with the newest none is to begin now.
    let reply = socket.ask(&json!({"type": "subscribe", "id": 2, "topic": "a", "last": 0}));
    assert_eq!((&reply["type"], &reply["recovered"]), (&json!("subscribed"), &json!(true)));
    honest.check();
}

/// Checks every way to come back to a place that never was: all that is held comes, with a word that it may not be all.
fn check_loss(address: SocketAddr, topic: &str, cursor: &str, position: &Value) {
    let answer = get(address, &format!("/topics/{topic}?since={cursor}")).json();
    assert_eq!(
        (texts(&answer["messages"]), &answer["gap"]),
        (HELD.to_vec(), &json!(true)),
        "{topic} {cursor}"
    );
    let next =
        get(address, &format!("/topics/{topic}?since={}", answer["cursor"].as_str().expect("text"))).json();
    assert_eq!(
        (texts(&next["messages"]).len(), &next["gap"]),
        (0, &json!(false)),
        "the cursor given is a good one"
    );
    let mut events =
        Events::open(address, &format!("/topics/{topic}"), &format!("Last-Event-ID: {cursor}\r\n"));
    assert_eq!(events.next_event().map(|event| event.kind), Some("gap".to_owned()), "{topic} {cursor}");
    assert_eq!(HELD.map(|_| events.next_data()), HELD, "{topic} {cursor}");
    let refused = WebSocket::try_open(address, &format!("/topics/{topic}?since={cursor}"), "");
    assert_eq!(refused.err().map(|answer| answer.status), Some(409), "{topic} {cursor}");
    for since in [position, &json!(cursor)] {
        let mut socket = WebSocket::open(address, "/ws");
        let reply = socket.ask(&json!({"type": "subscribe", "id": 1, "topic": topic, "since": since}));
        assert_eq!(
            (&reply["type"], &reply["recovered"]),
            (&json!("subscribed"), &json!(false)),
            "{since}: {reply}"
        );
        assert_eq!(HELD.map(|_| socket.read_json()["data"].clone()), HELD, "{topic} {since}");
        let reply = socket.ask(&json!({"type": "history", "id": 2, "topic": topic, "since": since}));
        assert_eq!((texts(&reply["messages"]), &reply["gap"]), (HELD.to_vec(), &json!(true)), "{since}");
    }
}

#[test]
fn positions_that_never_were_give_what_is_held_and_say_that_it_may_not_be_all() {
    let directory = DataDirectory::new();
    let broker = directory.serve(RULES);
    let mut honest = Honest::begin(&broker);
    for topic in TOPICS {
        let newest = publish_five(broker.address(), topic);
        let epoch = newest["epoch"].as_str().expect("text");
        for (epoch, offset) in [
            (epoch, 6),
            (epoch, u64::MAX),
            (epoch, i64::MAX as u64),
            (epoch, 1),
            (epoch, 0),
            ("1", 5),
            ("ffffffffffffffff", 5),
            ("no-epoch-of-this-broker", 5),
            ("0", 0),
        ] {
            let position = json!({"epoch": epoch, "offset": offset});
            check_loss(broker.address(), topic, &format!("{epoch}:{offset}"), &position);
        }
    }
    honest.check();
}

#[test]
fn moments_out_of_all_bounds_are_answered_honestly() {
    let directory = DataDirectory::new();
    let broker = directory.serve(RULES);
    let address = broker.address();
    for topic in TOPICS {
        publish_five(address, topic);
        for since in ["1970-01-01T00:00:00Z", "106751991167d", "10m"] {
            let answer = get(address, &format!("/topics/{topic}?since={since}")).json();
            assert_eq!(
                (texts(&answer["messages"]), &answer["gap"]),
                (HELD.to_vec(), &json!(true)),
                "{topic} {since}"
            );
        }
        let answer = get(address, &format!("/topics/{topic}?since=9999-12-31T23:59:59Z")).json();
        assert_eq!((texts(&answer["messages"]).len(), &answer["gap"]), (0, &json!(false)), "{topic}");
        let mut socket = WebSocket::open(address, "/ws");
        for ts in [u64::MAX, i64::MAX as u64, 253_402_300_799_999] {
            let history = json!({"type": "history", "id": 1, "topic": topic, "since": {"ts": ts}});
            let reply = socket.ask(&history);
            assert_eq!((texts(&reply["messages"]).len(), reply.get("gap")), (0, None), "{topic} {reply}");
            let mut backwards = history.clone();
            backwards["reverse"] = json!(true);
            assert_eq!(texts(&socket.ask(&backwards)["messages"]), ["5", "4", "3"], "{topic} before {ts}");
        }
        let since = json!({"ts": u64::MAX});
        let reply = socket.ask(&json!({"type": "subscribe", "id": 2, "topic": topic, "since": since}));
        assert_eq!((&reply["type"], &reply["recovered"]), (&json!("subscribed"), &json!(true)), "{reply}");
        assert_eq!(post(address, &format!("/topics/{topic}"), "text/plain", b"live").status, 200);
        assert_eq!(socket.read_json()["data"], "live", "nothing is waited for that is not to come for ages");
        let since = json!({"ts": 0});
        let mut socket = WebSocket::open(address, "/ws");
        let reply = socket.ask(&json!({"type": "subscribe", "id": 3, "topic": topic, "since": since}));
        assert_eq!(reply["recovered"], false, "{reply}");
        assert_eq!(
            ["4", "5", "live"].map(|_| socket.read_json()["data"].clone()),
            ["4", "5", "live"],
            "{topic}"
        );
    }
}

#[test]
#[cfg_attr(feature = "stepped-archive", ignore = "restarts the broker, whose archive is in memory")]
fn a_moment_before_a_restart_is_known_on_disk_and_not_in_memory() {
    let directory = DataDirectory::new();
    let rules = RULES.replace("messages = 3", "messages = 100");
    let mut broker = directory.serve(&rules);
    let first = get(broker.address(), "/topics/disk.t").json();
    assert_eq!(texts(&first["messages"]).len(), 0);
    for topic in TOPICS {
        publish_five(broker.address(), topic);
    }
    let held = get(broker.address(), "/topics/disk.t?since=earliest").json();
    let ts = held["messages"][2]["ts"].as_u64().expect("a time");
    let expected: Vec<&str> = held["messages"]
        .as_array()
        .expect("a list")
        .iter()
        .filter(|message| message["ts"].as_u64() >= Some(ts))
        .map(|message| message["data"].as_str().expect("text"))
        .collect();
    broker.terminate();
    assert!(broker.wait().success(), "{}", broker.log());
    let broker = directory.serve(&rules);
    for (topic, recovered, expected) in [("disk.t", true, expected), ("memory.t", false, vec![])] {
        let mut socket = WebSocket::open(broker.address(), "/ws");
        let since = json!({"ts": ts});
        let reply = socket.ask(&json!({"type": "history", "id": 1, "topic": topic, "since": since}));
        assert_eq!(texts(&reply["messages"]), expected, "{topic}: {reply}");
        let reply = socket.ask(&json!({"type": "subscribe", "id": 2, "topic": topic, "since": since}));
        assert_eq!(reply["recovered"], recovered, "{topic}: {reply}");
        for text in expected {
            assert_eq!(socket.read_json()["data"], *text, "{topic}");
        }
    }
}

#[test]
fn a_cursor_with_any_byte_changed_is_refused_or_says_of_a_gap_or_means_a_place_that_is_held() {
    let broker = Broker::start(&[]);
    let mut honest = Honest::begin(&broker);
    let address = broker.address();
    let all: Vec<String> = (1..=6).map(|number| number.to_string()).collect();
    for (number, text) in all.iter().enumerate() {
        let topic = ["edited.a", "edited.b"][number % 2];
        assert_eq!(post(address, &format!("/topics/{topic}"), "text/plain", text.as_bytes()).status, 200);
    }
    let path = "/stream?topic=edited.a&topic=edited.b";
    let cursor = get(address, path).json()["cursor"].as_str().expect("text").to_owned();
    let is_tail = |read: &[&str], of: &[&str]| of.ends_with(read);
    for place in 0..cursor.len() {
        for byte in [b'A', b'B', b'_', b'9', b'.', b':', b'm'] {
            let mut edited = cursor.clone().into_bytes();
            edited[place] = byte;
            let edited = String::from_utf8(edited).expect("it was ASCII, and still is");
            let answer = get(address, &format!("{path}&since={edited}"));
            if answer.status == 400 {
                answer.check_problem(400, "bad_frame");
                continue;
            }
            let answer = answer.json();
            let read = texts(&answer["messages"]);
            let own = |even: bool| -> Vec<&str> {
                let is_own = |text: &&&str| text.parse::<u32>().expect("a number").is_multiple_of(2) == even;
                read.iter().filter(is_own).copied().collect()
            };
            assert!(
                is_tail(&own(false), &["1", "3", "5"]) && is_tail(&own(true), &["2", "4", "6"]),
                "{edited}"
            );
        }
    }
    honest.check();
}
