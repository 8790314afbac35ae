//! History by time, and paging to and fro: over sessions in both encodings, HTTP, event streams and bare sockets.

use std::net::SocketAddr;
use std::time::{SystemTime, UNIX_EPOCH};

use fanwire_protocol::{ClientFrame, Reply, Request, ServerFrame, Since, msgpack};
use fanwire_tests::{Broker, Events, Opcode, STEPPED_ARCHIVE, WebSocket, get};
use serde_json::{Value, json};

use crate::fixtures::texts::{publish, publish_later};

const COUNT: u64 = 25;

/// A broker whose topic `t` holds the texts 1 to [`COUNT`], the first half of them from before the moment returned and the
/// second half from that moment on.
fn filled() -> (Broker, u64) {
    let rule = "[[topic]]\nmatch = '>'\nhistory = { messages = 10000 }\n";
    let broker = Broker::with_file(rule, &["--workers", "2"]);
    (1..=COUNT / 2).for_each(|number| drop(publish(broker.address(), "t", &number.to_string())));
    let moment = now_ms() + 1;
    fanwire_tests::eventually("the next millisecond", || (now_ms() > moment).then_some(()));
    (COUNT / 2 + 1..=COUNT).for_each(|number| drop(publish(broker.address(), "t", &number.to_string())));
    (broker, moment)
}

fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_millis() as u64
}

fn numbers(messages: &Value) -> Vec<u64> {
    let messages = messages.as_array().expect("a list of messages");
    messages
        .iter()
        .map(|message| message["data"].as_str().expect("text").parse().expect("a number"))
        .collect()
}

fn before() -> Vec<u64> {
    (1..=COUNT / 2).collect()
}

fn after() -> Vec<u64> {
    (COUNT / 2 + 1..=COUNT).collect()
}

fn reversed(mut numbers: Vec<u64>) -> Vec<u64> {
    numbers.reverse();
    numbers
}

/// The moment as RFC 3339 writes it, by way of the system's own calendar.
fn rfc_3339(moment_ms: u64) -> String {
    let date = std::process::Command::new("date")
        .args(["-u", "-d", &format!("@{}", moment_ms / 1000), "+%Y-%m-%dT%H:%M:%S"])
        .output()
        .expect("date runs");
    format!("{}.{:03}Z", String::from_utf8(date.stdout).expect("text").trim(), moment_ms % 1000)
}

/// Reads pages of a session until there is no more, and checks that each says what it should of the others.
fn pages_of_session(address: SocketAddr, since: Option<&Value>, reverse: bool) -> Vec<u64> {
    let mut socket = WebSocket::open(address, "/ws");
    let (mut read, mut since) = (Vec::new(), since.cloned());
    loop {
        let request = json!({
            "type": "history", "id": 1, "topic": "t", "since": since, "limit": 4, "reverse": reverse,
        });
        let reply = socket.ask(&request);
        assert_eq!((&reply["type"], reply.get("gap")), (&json!("history"), None), "{reply}");
        let page = numbers(&reply["messages"]);
        assert!(page.len() == 4 || reply["more"] == false, "{reply}");
        read.extend(page);
        if reply["more"] == false {
            return read;
        }
        let last = reply["messages"].as_array().and_then(|messages| messages.last()).expect("a last message");
        since = Some(json!({"epoch": last["epoch"], "offset": last["offset"]}));
    }
}

#[test]
fn a_session_pages_both_ways_from_a_moment_and_from_the_ends() {
    let (broker, moment) = filled();
    let all: Vec<u64> = (1..=COUNT).collect();
    let read = |since, reverse| pages_of_session(broker.address(), since, reverse);
    let moment = json!({"ts": moment});
    assert_eq!(read(Some(&moment), false), after());
    assert_eq!(read(Some(&moment), true), reversed(before()));
    assert_eq!(read(None, false), all);
    assert_eq!(read(None, true), reversed(all.clone()));
    let future = json!({"ts": u64::MAX});
    assert_eq!(read(Some(&future), false), Vec::<u64>::new());
    assert_eq!(read(Some(&future), true), reversed(all));
}

#[test]
fn a_session_in_msgpack_reads_from_a_moment() {
    let (broker, moment) = filled();
    let mut socket = WebSocket::open_msgpack(broker.address());
    for (reverse, expected) in [(false, after()), (true, reversed(before()))] {
        let topic = "t".parse().expect("a topic");
        let request = Request::History { topic, since: Some(Since::Time(moment)), limit: None, reverse };
        let mut bytes = Vec::new();
        msgpack::encode_client(&ClientFrame { id: Some(1), request }, &mut bytes);
        socket.send_frame(true, Opcode::BINARY, &bytes);
        let reply = msgpack::decode_server(&socket.read().payload).expect("a frame");
        let ServerFrame::Reply { reply: Reply::History { messages, more: false, gap: false, .. }, .. } =
            reply
        else {
            panic!("{reply:?}")
        };
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("text");
        let read: Vec<u64> = messages
            .iter()
            .map(|message| text(&message.payload.to_bare()).parse().expect("a number"))
            .collect();
        assert_eq!(read, expected);
    }
}

/// Reads pages over HTTP until there is no more, with the cursor of each.
fn pages_over_http(address: SocketAddr, path: &str, since: Option<&str>) -> Vec<u64> {
    let (mut read, mut since) = (Vec::new(), since.map(str::to_owned));
    loop {
        let place = since.map_or(String::new(), |since| format!("&since={since}"));
        let answer = get(address, &format!("{path}limit=4{place}")).json();
        assert_eq!(answer["gap"], false, "{answer}");
        let page = numbers(&answer["messages"]);
        assert!(page.len() == 4 || answer["more"] == false, "{answer}");
        read.extend(page);
        let cursor = answer["cursor"].as_str().expect("a cursor").to_owned();
        if answer["more"] == false {
            let end = get(address, &format!("{path}limit=4&since={cursor}")).json();
            assert_eq!((numbers(&end["messages"]), &end["gap"]), (vec![], &json!(false)), "{end}");
            return read;
        }
        since = Some(cursor);
    }
}

#[test]
fn http_pages_both_ways_from_a_moment_and_from_the_ends() {
    let (broker, moment) = filled();
    let address = broker.address();
    let all: Vec<u64> = (1..=COUNT).collect();
    let moment = rfc_3339(moment);
    let (forward, backward) = ("/topics/t?", "/topics/t?reverse=true&");
    assert_eq!(pages_over_http(address, forward, Some(&moment)), after());
    assert_eq!(pages_over_http(address, backward, Some(&moment)), reversed(before()));
    assert_eq!(pages_over_http(address, forward, Some("earliest")), all);
    assert_eq!(pages_over_http(address, backward, None), reversed(all.clone()));
    assert_eq!(pages_over_http(address, backward, Some("0s")), reversed(all.clone()));
    assert_eq!(pages_over_http(address, backward, Some("2999-01-01T00:00:00Z")), reversed(all));
    assert_eq!(pages_over_http(address, forward, Some("2999-01-01T00:00:00Z")), Vec::<u64>::new());
}

#[test]
fn several_topics_are_read_backwards_with_one_cursor() {
    let broker = Broker::start(&[]);
    let address = broker.address();
    for number in 1..=20 {
        let topic = ["many.a", "many.b", "many.c"][number * 7 % 3];
        // In memory, times are exact enough for any order.
        (if STEPPED_ARCHIVE { publish_later } else { publish })(address, topic, &number.to_string());
    }
    let path = "/stream?topic=many.a&topic=many.b&topic=many.c&topic=many.silent&reverse=true&";
    assert_eq!(pages_over_http(address, path, None), reversed((1..=20).collect()));
}

#[test]
fn a_subscription_from_a_moment_gets_what_is_held_since_and_then_what_comes() {
    let (broker, moment) = filled();
    let address = broker.address();
    let expected: Vec<String> = after().iter().map(u64::to_string).chain(["live".to_owned()]).collect();
    let mut socket = WebSocket::open(address, "/ws");
    let request = json!({"type": "subscribe", "id": 1, "topic": "t", "since": {"ts": moment}});
    socket.send_json(&request);
    let reply = socket.read_json();
    assert_eq!((&reply["type"], &reply["recovered"]), (&json!("subscribed"), &json!(true)), "{reply}");
    let path = format!("/topics/t?since={}", rfc_3339(moment));
    let mut events = Events::open(address, &path, "");
    let mut bare = WebSocket::open(address, &path);
    publish(address, "t", "live");
    for text in &expected {
        assert_eq!(socket.read_json()["data"], **text);
        assert_eq!(events.next_data(), *text);
        assert_eq!(bare.read().payload, text.as_bytes());
    }
    let answer = get(address, &format!("{path}&wait=15")).json();
    assert_eq!(answer["messages"].as_array().map(Vec::len), Some(expected.len()));
}

#[test]
fn a_moment_before_what_is_known_is_told_and_what_is_held_is_given() {
    let broker = Broker::with_file("[[topic]]\nmatch = 't'\nhistory = { messages = 2 }\n", &[]);
    let address = broker.address();
    (1..=3).for_each(|number| drop(publish(address, "t", &number.to_string())));
    for since in ["10m", "1970-01-01T00:00:00Z", "999999d"] {
        let answer = get(address, &format!("/topics/t?since={since}")).json();
        assert_eq!((numbers(&answer["messages"]), &answer["gap"]), (vec![2, 3], &json!(true)), "{since}");
        let mut events = Events::open(address, &format!("/topics/t?since={since}"), "");
        assert_eq!(events.next_event().map(|event| event.kind), Some("gap".to_owned()), "{since}");
        assert_eq!((events.next_data().as_str(), events.next_data().as_str()), ("2", "3"), "{since}");
        let refused = WebSocket::try_open(address, &format!("/topics/t?since={since}"), "");
        assert_eq!(refused.err().map(|answer| answer.status), Some(409), "a bare socket cannot say it later");
    }
    let mut socket = WebSocket::open(address, "/ws");
    let reply = socket.ask(&json!({"type": "subscribe", "id": 1, "topic": "t", "since": {"ts": 0}}));
    assert_eq!(reply["recovered"], false, "{reply}");
    assert_eq!((&socket.read_json()["data"], &socket.read_json()["data"]), (&json!("2"), &json!("3")));
    let history = socket.ask(&json!({"type": "history", "id": 2, "topic": "t", "since": {"ts": 0}}));
    assert_eq!((numbers(&history["messages"]), &history["gap"]), (vec![2, 3], &json!(true)));
}

#[test]
#[cfg_attr(feature = "stepped-archive", ignore = "is about topics in memory")]
fn what_was_before_a_topic_began_is_not_claimed_to_be_known() {
    let broker = Broker::start(&[]);
    let mut socket = WebSocket::open(broker.address(), "/ws");
    let before_ms = now_ms() - 1_000;
    let begun =
        socket.ask(&json!({"type": "subscribe", "id": 1, "topic": "new", "since": {"ts": before_ms}}));
    assert_eq!(
        begun["recovered"], false,
        "the topic may have been published to under an earlier epoch: {begun}"
    );
    let (after_ms, mut again) = (now_ms() + 1, WebSocket::open(broker.address(), "/ws"));
    let known = again.ask(&json!({"type": "subscribe", "id": 1, "topic": "new", "since": {"ts": after_ms}}));
    assert_eq!(known["recovered"], true, "{known}");
}

/// Runs `fanwire sub` on topic `t` to its end, and returns what it printed as numbers.
fn sub(address: SocketAddr, arguments: &[&str]) -> Vec<u64> {
    let output = std::process::Command::new(fanwire_tests::binary())
        .args(["sub", "--url", &address.to_string(), "t"])
        .args(arguments)
        .output()
        .expect("it runs");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && errors.is_empty(), "{arguments:?}: {errors}");
    let text = String::from_utf8(output.stdout).expect("text");
    text.lines().map(|line| line.parse().expect("a number")).collect()
}

#[test]
fn the_command_line_reads_the_past_both_ways_and_ends() {
    let (broker, moment) = filled();
    let address = broker.address();
    let all: Vec<u64> = (1..=COUNT).collect();
    let moment = rfc_3339(moment);
    assert_eq!(sub(address, &["--no-follow"]), all);
    assert_eq!(sub(address, &["--no-follow", "--since", "earliest"]), all);
    assert_eq!(sub(address, &["--no-follow", "--reverse"]), reversed(all.clone()));
    assert_eq!(sub(address, &["--no-follow", "--since", &moment]), after());
    assert_eq!(sub(address, &["--no-follow", "--reverse", "--since", &moment]), reversed(before()));
    assert_eq!(sub(address, &["--no-follow", "--last", "3"]), all[all.len() - 3..]);
    assert_eq!(sub(address, &["--no-follow", "--last", "3", "--reverse"]), reversed(all)[..3]);
    assert_eq!(sub(address, &["--no-follow", "--last", "0"]), Vec::<u64>::new());
    assert_eq!(sub(address, &["--no-follow", "--count", "2", "--msgpack"]), [1, 2]);
    // A moment is a place to follow from, too.
    let count = after().len().to_string();
    assert_eq!(sub(address, &["--since", &moment, "--count", &count]), after());
}
