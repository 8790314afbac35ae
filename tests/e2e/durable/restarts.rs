//! A broker that stops and starts again, and clients that come back to where they were.

use std::net::SocketAddr;

use fanwire_tests::{
    Broker, DataDirectory, Events, Gate, Http, Opcode, WebSocket, eventually, get, nth_offset, post,
};
use serde_json::{Value, json};

use super::DURABLE;
use crate::fixtures::texts::publish_later;

/// How many publications make a topic so long that most of it is on disk only.
const LONG: usize = 5000;

fn publish(address: SocketAddr, topic: &str, text: &str) -> Value {
    let answer = post(address, &format!("/topics/{topic}"), "text/plain", text.as_bytes());
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()
}

/// Publishes the numbers of `range` in batches.
fn publish_numbers(address: SocketAddr, topic: &str, range: std::ops::Range<usize>) {
    let numbers: Vec<usize> = range.collect();
    for batch in numbers.chunks(1000) {
        let entry = |number: &usize| json!({"topic": topic, "data": number.to_string()});
        let body = json!({"messages": batch.iter().map(entry).collect::<Vec<_>>()}).to_string();
        let answer = post(address, "/publish", "application/json", body.as_bytes()).json();
        let results = answer["results"].as_array().expect("results").clone();
        assert_eq!(results.len(), batch.len());
        assert!(results.iter().all(|result| result["offset"].is_u64()), "{answer}");
    }
}

fn stop(mut broker: Broker) {
    broker.terminate();
    assert!(broker.wait().success(), "{}", broker.log());
}

fn subscribe(address: SocketAddr, request: Value) -> (WebSocket, Value) {
    let mut socket = WebSocket::open(address, "/ws");
    let mut frame = json!({"type": "subscribe", "id": 1});
    frame.as_object_mut().expect("an object").extend(request.as_object().expect("an object").clone());
    let reply = socket.ask(&frame);
    assert_eq!(reply["type"], "subscribed", "{reply}");
    (socket, reply)
}

fn check_numbers(socket: &mut WebSocket, expected: std::ops::Range<usize>) {
    for number in expected {
        let frame = socket.read_json();
        assert_eq!(
            (&frame["type"], &frame["data"]),
            (&json!("message"), &json!(number.to_string())),
            "{frame}"
        );
    }
}

#[test]
fn positions_go_on_after_a_restart() {
    let directory = DataDirectory::new();
    let broker = directory.serve(DURABLE);
    let first = publish(broker.address(), "orders", "1");
    let (mut socket, _) = subscribe(broker.address(), json!({"topic": "orders", "since": "earliest"}));
    let frame = socket.read_json();
    assert_eq!((&frame["offset"], &frame["epoch"]), (&first["offset"], &first["epoch"]), "{frame}");
    drop(socket);
    let broker = restart(broker, &directory);
    let second = publish(broker.address(), "orders", "2");
    assert_eq!((&second["epoch"], &second["offset"]), (&first["epoch"], &json!(nth_offset(2))));
    let since = json!({"epoch": first["epoch"], "offset": nth_offset(1)});
    let (mut socket, reply) = subscribe(broker.address(), json!({"topic": "orders", "since": since}));
    assert_eq!((&reply["recovered"], &reply["offset"]), (&json!(true), &json!(nth_offset(2))), "{reply}");
    assert_eq!(socket.read_json()["data"], "2");
    publish(broker.address(), "orders", "3");
    let frame = socket.read_json();
    assert_eq!((&frame["data"], &frame["offset"]), (&json!("3"), &json!(nth_offset(3))));
}

#[test]
fn an_untouched_topic_knows_its_position_after_a_restart() {
    let directory = DataDirectory::new();
    let broker = directory.serve(DURABLE);
    let receipt = publish(broker.address(), "quiet", "x");
    let broker = restart(broker, &directory);
    let (mut socket, reply) = subscribe(broker.address(), json!({"topic": "quiet"}));
    assert_eq!((&reply["epoch"], &reply["offset"]), (&receipt["epoch"], &json!(nth_offset(1))), "{reply}");
    publish(broker.address(), "quiet", "live");
    assert_eq!(socket.read_json()["data"], "live", "and nothing before it");
    let again = socket.ask(&json!({"type": "subscribe", "id": 2, "topic": "quiet"}));
    assert_eq!((&again["type"], &again["offset"]), (&json!("subscribed"), &json!(nth_offset(2))), "{again}");
}

/// Stops the broker in good order and starts another on the same directory.
fn restart(broker: Broker, directory: &DataDirectory) -> Broker {
    directory.restart(broker, DURABLE)
}

#[test]
fn all_of_a_long_topic_is_replayed_in_order_and_then_live() {
    let directory = DataDirectory::new();
    let mut broker = directory.serve(DURABLE);
    publish_numbers(broker.address(), "long", 0..LONG);
    for round in 0..2 {
        let (mut socket, reply) = subscribe(broker.address(), json!({"topic": "long", "since": "earliest"}));
        assert_eq!(
            (&reply["recovered"], &reply["offset"]),
            (&json!(true), &json!(nth_offset((LONG + round) as u64)))
        );
        publish(broker.address(), "long", &(LONG + round).to_string());
        check_numbers(&mut socket, 0..LONG + round + 1);
        drop(socket);
        broker = restart(broker, &directory);
    }
    let (mut socket, _) = subscribe(broker.address(), json!({"topic": "long", "last": 3000}));
    check_numbers(&mut socket, LONG + 2 - 3000..LONG + 2);
}

#[test]
fn a_session_that_unsubscribes_or_leaves_while_it_catches_up_costs_nothing() {
    let directory = DataDirectory::new();
    let broker = directory.serve(DURABLE);
    publish_numbers(broker.address(), "long", 0..LONG);
    let broker = restart(broker, &directory);
    let mut socket = WebSocket::open(broker.address(), "/ws");
    for round in 0..20 {
        socket.send_json(&json!({"type": "subscribe", "id": 1, "topic": "long", "since": "earliest"}));
        socket.send_json(&json!({"type": "unsubscribe", "id": 2, "topic": "long"}));
        let gone = socket.ask(&json!({"type": "ping", "id": 100 + round}));
        assert_eq!(gone["type"], "pong");
    }
    broker.await_metric("fanwire_subscriptions", 0.0);
    drop(subscribe(broker.address(), json!({"topic": "long", "since": "earliest"})));
    drop(socket);
    broker.await_metric("fanwire_subscriptions", 0.0);
    broker.await_metric("fanwire_connections{transport=\"ws\"}", 0.0);
    assert_eq!(publish(broker.address(), "long", "x")["subscribers"], 0, "the engine counts no subscriber");
}

#[test]
fn nothing_comes_after_the_last_word_of_a_session_that_is_still_owed_something() {
    let directory = DataDirectory::new();
    let broker = directory.serve(DURABLE);
    publish_numbers(broker.address(), "long", 0..LONG);
    let broker = restart(broker, &directory);
    for round in 0..20 {
        let mut socket = WebSocket::open(broker.address(), "/ws");
        let topic = format!("other.{round}");
        socket.send_json(&json!({"type": "subscribe", "id": 1, "topic": "long", "since": "earliest"}));
        for id in 0..50 {
            socket.send_json(&json!({"type": "publish", "id": id, "topic": topic, "data": "x"}));
        }
        socket.send_frame(true, Opcode::BINARY, b"no JSON");
        let (code, before) = socket.read_to_close();
        assert_eq!(code, Some(1003), "after {} frames", before.len());
    }
}

#[test]
fn a_pattern_hears_durable_topics_and_a_resumed_topic_beside_it_is_heard_once() {
    let directory = DataDirectory::new();
    let broker = directory.serve(DURABLE);
    publish_numbers(broker.address(), "d.long", 0..LONG);
    let broker = restart(broker, &directory);
    let mut socket = WebSocket::open(broker.address(), "/ws");
    socket.ask(&json!({"type": "subscribe", "id": 1, "topic": "d.>"}));
    publish(broker.address(), "d.other", "pattern");
    assert_eq!(socket.read_json()["data"], "pattern");
    socket.send_json(&json!({"type": "subscribe", "id": 2, "topic": "d.long", "since": "earliest"}));
    publish_numbers(broker.address(), "d.long", LONG..LONG + 500);
    assert_eq!(socket.read_json()["type"], "subscribed");
    check_numbers(&mut socket, 0..LONG + 500);
    publish(broker.address(), "d.long", "end");
    assert_eq!(socket.read_json()["data"], "end");
}

#[test]
fn history_pages_through_all_that_is_on_disk() {
    let directory = DataDirectory::new();
    let broker = directory.serve(DURABLE);
    publish_numbers(broker.address(), "long", 0..LONG);
    let broker = restart(broker, &directory);
    let mut cursor = "earliest".to_owned();
    let mut numbers = Vec::new();
    loop {
        let page = get(broker.address(), &format!("/topics/long?since={cursor}&limit=700")).json();
        assert_eq!(page["gap"], false);
        let messages = page["messages"].as_array().expect("a list");
        numbers.extend(messages.iter().map(|message| message["data"].clone()));
        page["cursor"].as_str().expect("a cursor").clone_into(&mut cursor);
        if page["more"] == false {
            break;
        }
    }
    let expected: Vec<Value> = (0..LONG).map(|number| json!(number.to_string())).collect();
    assert!(numbers == expected, "{} of {LONG}", numbers.len());
    let mut socket = WebSocket::open(broker.address(), "/ws");
    let newest = json!({"type": "history", "id": 1, "topic": "long", "reverse": true, "limit": 2});
    let page = socket.ask(&newest);
    let texts = |page: &Value| [page["messages"][0]["data"].clone(), page["messages"][1]["data"].clone()];
    assert_eq!((texts(&page), &page["more"]), ([json!("4999"), json!("4998")], &json!(true)), "{page}");
    let until = json!({"epoch": page["epoch"], "offset": nth_offset(3)});
    let oldest =
        socket.ask(&json!({"type": "history", "id": 2, "topic": "long", "reverse": true, "since": until}));
    assert_eq!((texts(&oldest), &oldest["more"]), ([json!("1"), json!("0")], &json!(false)), "{oldest}");
}

#[test]
fn streams_and_polls_go_on_after_a_restart_where_they_were() {
    let directory = DataDirectory::new();
    let broker = directory.serve(DURABLE);
    publish(broker.address(), "a", "1");
    publish_later(broker.address(), "b", "2");
    let mut events = Events::open(broker.address(), "/stream?topic=a&topic=b&since=earliest", "");
    assert_eq!([events.next_data(), events.next_data()], ["1", "2"]);
    let id = events.last_event_id.clone().expect("an id");
    let page = get(broker.address(), "/stream?topic=a&topic=b&since=earliest").json();
    let cursor = page["cursor"].as_str().expect("a cursor").to_owned();
    publish(broker.address(), "a", "3");
    let broker = restart(broker, &directory);
    publish_later(broker.address(), "b", "4");
    let headers = format!("Last-Event-ID: {id}\r\n");
    let mut again = Events::open(broker.address(), "/stream?topic=a&topic=b", &headers);
    assert_eq!([again.next_data(), again.next_data()], ["3", "4"]);
    let page = get(broker.address(), &format!("/stream?topic=a&topic=b&since={cursor}&wait=5")).json();
    assert_eq!((&page["messages"][0]["data"], &page["messages"][1]["data"]), (&json!("3"), &json!("4")));
    assert_eq!(page["gap"], false);
}

#[test]
fn a_repeated_key_is_given_the_first_receipt_over_a_restart() {
    let directory = DataDirectory::new();
    let mut broker = directory.serve(DURABLE);
    let publish_with_key = |broker: &Broker| {
        let mut http = Http::connect(broker.address());
        http.send(
            b"POST /topics/keys HTTP/1.1\r\nHost: x\r\nIdempotency-Key: once\r\nContent-Type: text/plain\r\n\
              Content-Length: 1\r\n\r\nx",
        );
        http.read().json()
    };
    let first = publish_with_key(&broker);
    assert_eq!(first["duplicate"], Value::Null);
    for _ in 0..2 {
        let again = publish_with_key(&broker);
        assert_eq!((&again["offset"], &again["epoch"]), (&first["offset"], &first["epoch"]));
        assert_eq!(again["duplicate"], true);
        broker = restart(broker, &directory);
    }
    let mut socket = WebSocket::open(broker.address(), "/ws");
    let receipt =
        socket.ask(&json!({"type": "publish", "id": 1, "topic": "keys", "data": "x", "key": "once"}));
    assert_eq!((&receipt["type"], &receipt["duplicate"]), (&json!("published"), &json!(true)), "{receipt}");
    assert_eq!(get(broker.address(), "/topics/keys").json()["messages"].as_array().map(Vec::len), Some(1));
}

#[test]
#[cfg_attr(feature = "stepped-archive", ignore = "is about the disk")]
fn a_session_that_takes_the_place_of_one_that_has_gone_misses_nothing_of_it() {
    let (directory, gate) = (DataDirectory::new(), Gate::closed());
    let arguments = ["--workers", "1", "--data-dir", directory.text()];
    let plan = format!("store.commit=block@{}", gate.text());
    let broker = Broker::with_failpoints(DURABLE, &arguments, &plan);
    for round in 0..3 {
        let topic = format!("place.{round}");
        gate.close();
        let mut leaving = WebSocket::open(broker.address(), &format!("/topics/{topic}?echo=false"));
        leaving.send_text("last word");
        drop(leaving);
        broker.await_metric("fanwire_connections{transport=\"bare\"}", 0.0);
        // This session may be given the key of the one that has just left, whose own publications it must not skip.
        let (mut coming, reply) = subscribe(broker.address(), json!({"topic": topic}));
        assert_eq!(reply["offset"], 0, "the publication is still on its way to the disk");
        gate.open();
        assert_eq!(coming.read_json()["data"], "last word");
    }
}

#[test]
fn what_a_rule_lets_go_is_gone_and_said_to_be() {
    let directory = DataDirectory::new();
    let rule = "[[topic]]\nmatch = '>'\ndurable = true\nhistory = { messages = 10 }\n";
    let broker = directory.serve(rule);
    let first = publish(broker.address(), "short", "0");
    publish_numbers(broker.address(), "short", 1..30);
    let broker = directory.restart(broker, rule);
    for (count, recovered, from) in
        [(30, true, 30), (20, true, 20), (19, false, 20), (0, false, 20), (31, false, 20)]
    {
        let offset = nth_offset(count);
        let since = json!({"epoch": first["epoch"], "offset": offset});
        let (mut socket, reply) = subscribe(broker.address(), json!({"topic": "short", "since": since}));
        assert_eq!(
            (&reply["recovered"], &reply["offset"]),
            (&json!(recovered), &json!(nth_offset(30))),
            "{offset}: {reply}"
        );
        check_numbers(&mut socket, from..30);
    }
    let other = json!({"epoch": "zzz", "offset": nth_offset(30)});
    let (mut socket, reply) = subscribe(broker.address(), json!({"topic": "short", "since": other}));
    assert_eq!(reply["recovered"], false);
    check_numbers(&mut socket, 20..30);
    let cursor = format!("{}:{}", first["epoch"].as_str().expect("text"), nth_offset(5));
    let page = get(broker.address(), &format!("/topics/short?since={cursor}")).json();
    assert_eq!((&page["gap"], &page["messages"][0]["offset"]), (&json!(true), &json!(nth_offset(21))));
}

#[test]
fn a_moment_is_found_on_disk_after_a_restart() {
    let directory = DataDirectory::new();
    let broker = directory.serve(DURABLE);
    publish_numbers(broker.address(), "time", 0..LONG);
    let newest = get(broker.address(), "/topics/time").json()["messages"].as_array().expect("a list").len();
    assert!(newest > 0);
    let stamps = |path: &str| -> Vec<u64> {
        let page = get(broker.address(), path).json();
        let messages = page["messages"].as_array().expect("a list").clone();
        messages.iter().map(|message| message["ts"].as_u64().expect("a time")).collect()
    };
    let first = stamps("/topics/time?since=earliest&limit=1")[0];
    let last = eventually("the clock goes on", || {
        publish(broker.address(), "time", "late");
        let last = *stamps("/topics/time?limit=1").last().expect("one");
        (last > first + 1).then_some(last)
    });
    let broker = restart(broker, &directory);
    let (mut socket, reply) = subscribe(broker.address(), json!({"topic": "time", "since": {"ts": last}}));
    assert_eq!(reply["recovered"], true, "{reply}");
    let frame = socket.read_json();
    assert_eq!((&frame["data"], &frame["ts"]), (&json!("late"), &json!(last)), "{frame}");
    let all = json!({"type": "history", "id": 5, "topic": "time", "since": {"ts": first}, "limit": 3});
    let page = socket.ask(&all);
    assert_eq!((&page["messages"][0]["data"], &page["more"]), (&json!("0"), &json!(true)), "{page}");
    let before =
        json!({"type": "history", "id": 6, "topic": "time", "since": {"ts": first}, "reverse": true});
    assert_eq!(socket.ask(&before)["messages"], json!([]), "nothing was published before the first");
    let future = json!({"type": "history", "id": 7, "topic": "time", "since": {"ts": last + 1_000_000}});
    assert_eq!(socket.ask(&future)["messages"], json!([]));
    let long_ago = json!({"topic": "time", "since": {"ts": 1}});
    let (mut socket, reply) = subscribe(broker.address(), long_ago);
    assert_eq!(reply["recovered"], false, "seven days are kept, so what was before cannot be known");
    assert_eq!(socket.read_json()["data"], "0");
}

#[test]
#[cfg_attr(feature = "stepped-archive", ignore = "is about topics in memory")]
fn a_topic_in_use_stays_as_durable_as_it_was_when_the_rules_change() {
    let directory = DataDirectory::new();
    let file = fanwire_tests::temporary("toml");
    let write = |text: &str| std::fs::write(&file, text).expect("a file can be written");
    write(DURABLE);
    let path = file.to_str().expect("plain names");
    let broker = Broker::start(&["--config", path, "--data-dir", directory.text()]);
    let first = publish(broker.address(), "kept", "1");
    write("[[topic]]\nmatch = '>'\nslow = 'skip'\n");
    broker.reload();
    eventually("the broker has read its rules anew", || broker.log().contains("reloaded").then_some(()));
    let second = publish(broker.address(), "kept", "2");
    assert_eq!((&second["epoch"], &second["offset"]), (&first["epoch"], &json!(2)));
    let fresh = publish(broker.address(), "fresh", "in memory");
    write(DURABLE);
    stop(broker);
    let broker = Broker::start(&["--config", path, "--data-dir", directory.text()]);
    let held = get(broker.address(), "/topics/kept?since=earliest").json();
    assert_eq!(held["messages"].as_array().map(Vec::len), Some(2), "{held}");
    assert_ne!(publish(broker.address(), "fresh", "on disk")["epoch"], fresh["epoch"]);
    std::fs::remove_file(file).expect("it is there");
}

#[test]
fn payloads_of_every_kind_come_back_as_they_were() {
    let directory = DataDirectory::new();
    let broker = directory.serve(DURABLE);
    post(broker.address(), "/topics/kinds", "application/json", b"{\"a\": [1, 18446744073709551615]}");
    post(broker.address(), "/topics/kinds", "text/plain", "grüße".as_bytes());
    post(broker.address(), "/topics/kinds", "application/octet-stream", &[0, 255]);
    let before = get(broker.address(), "/topics/kinds").json()["messages"].clone();
    let broker = restart(broker, &directory);
    let after = get(broker.address(), "/topics/kinds").json()["messages"].clone();
    assert_eq!(before, after);
    assert_eq!((&after[1]["data"], &after[2]["data_base64"]), (&json!("grüße"), &json!("AP8=")));
}

#[test]
#[cfg_attr(feature = "stepped-archive", ignore = "restarts the broker, whose archive is in memory")]
fn keys_are_remembered_when_the_clock_is_an_hour_back_after_a_restart() {
    let directory = DataDirectory::new();
    let publish_with_key = |broker: &Broker| {
        let mut socket = WebSocket::open(broker.address(), "/ws");
        socket.ask(&json!({"type": "publish", "id": 1, "topic": "keys", "data": "x", "key": "once"}))
    };
    let broker = directory.serve(DURABLE);
    let first = publish_with_key(&broker);
    stop(broker);
    let broker = directory.serve_with_failpoints(DURABLE, "clock=shift(-1h)");
    let again = publish_with_key(&broker);
    assert_eq!((&again["offset"], &again["duplicate"]), (&first["offset"], &json!(true)), "{again}");
}
