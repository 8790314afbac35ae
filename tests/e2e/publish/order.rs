//! All subscribers see a topic's publications in one and the same order.

use std::net::SocketAddr;

use fanwire_protocol::{Payload, Request};
use fanwire_tests::{Broker, Events, Opcode, WebSocket, get, post};
use serde_json::json;

use crate::fixtures::readers::send_msgpack;
use crate::fixtures::texts::{publish, subscribe};

const EACH: usize = 100;

/// What is published over, and how each text begins.
const KINDS: [&str; 5] = ["http", "ws", "bare", "batch", "msgpack"];

fn publish_over_everything(address: SocketAddr, topic: &'static str) -> Vec<std::thread::JoinHandle<()>> {
    let over_http =
        move || (0..EACH).for_each(|number| drop(publish(address, topic, &format!("http {number}"))));
    let over_ws = move || {
        let mut socket = WebSocket::open(address, "/ws");
        for number in 0..EACH {
            let text = format!("ws {number}");
            let receipt = socket.ask(&json!({"type": "publish", "id": number, "topic": topic, "data": text}));
            assert_eq!(receipt["type"], "published");
        }
    };
    let over_bare = move || {
        let mut socket = WebSocket::open(address, &format!("/topics/{topic}?echo=false"));
        (0..EACH).for_each(|number| socket.send_text(&format!("bare {number}")));
        socket.send_frame(true, Opcode::CLOSE, b"");
        while socket.try_read().is_some() {}
    };
    let over_batch = move || {
        for first in (0..EACH).step_by(10) {
            let entry = |number| json!({"topic": topic, "data": format!("batch {number}")});
            let messages: Vec<_> = (first..first + 10).map(entry).collect();
            let body = json!({"messages": messages}).to_string();
            assert_eq!(post(address, "/publish", "application/json", body.as_bytes()).status, 200);
        }
    };
    let over_msgpack = move || {
        let mut socket = WebSocket::open_msgpack(address);
        for number in 0..EACH {
            let payload = Payload::text(format!("msgpack {number}"));
            let topic = topic.parse().expect("a topic");
            let publish = Request::Publish { topic, payload, key: None, echo: true };
            send_msgpack(&mut socket, Some(number as u32), publish);
        }
        (0..EACH).for_each(|_| assert_eq!(socket.read().opcode, Opcode::BINARY));
    };
    vec![
        std::thread::spawn(over_http),
        std::thread::spawn(over_ws),
        std::thread::spawn(over_bare),
        std::thread::spawn(over_batch),
        std::thread::spawn(over_msgpack),
    ]
}

fn poll_all(address: SocketAddr, total: usize) -> Vec<String> {
    let (mut heard, mut since) = (Vec::new(), "earliest".to_owned());
    while heard.len() < total {
        let answer = get(address, &format!("/topics/order?wait=15&since={since}")).json();
        assert_eq!(answer["gap"], false);
        let messages = answer["messages"].as_array().expect("a list");
        assert!(!messages.is_empty(), "something comes in time");
        heard.extend(messages.iter().map(|message| message["data"].as_str().expect("text").to_owned()));
        answer["cursor"].as_str().expect("a cursor").clone_into(&mut since);
    }
    heard
}

#[test]
fn one_order_for_all_whatever_they_are_connected_over() {
    let rule = "[[topic]]\nmatch = '>'\nhistory = { messages = 10000 }\n";
    let broker = Broker::with_file(rule, &["--workers", "2"]);
    let address = broker.address();
    let patterns = ["order", "order", "order", "*", ">", ">"];
    let mut sessions: Vec<_> = patterns.iter().map(|pattern| subscribe(address, pattern)).collect();
    let mut bare: Vec<_> = (0..2).map(|_| WebSocket::open(address, "/topics/order")).collect();
    let mut events: Vec<_> = (0..2).map(|_| Events::open(address, "/topics/order", "")).collect();
    events.push(Events::open(address, "/stream?topic=order&topic=other", ""));
    events.push(Events::open(address, "/topics/*", ""));
    let publishers = publish_over_everything(address, "order");
    let total = KINDS.len() * EACH;
    let poller = std::thread::spawn(move || poll_all(address, total));
    let mut heard: Vec<Vec<String>> = Vec::new();
    for socket in &mut sessions {
        let data = |_| socket.read_json()["data"].as_str().expect("text").to_owned();
        heard.push((0..total).map(data).collect());
    }
    for socket in &mut bare {
        heard.push((0..total).map(|_| String::from_utf8(socket.read().payload).expect("text")).collect());
    }
    for stream in &mut events {
        heard.push((0..total).map(|_| stream.next_data()).collect());
    }
    heard.push(poller.join().expect("it hears all"));
    publishers.into_iter().for_each(|publisher| publisher.join().expect("it publishes all"));
    for other in &heard[1..] {
        assert_eq!(&heard[0], other);
    }
    for kind in KINDS {
        let own: Vec<_> = heard[0].iter().filter(|text| text.starts_with(&format!("{kind} "))).collect();
        let expected: Vec<_> = (0..EACH).map(|number| format!("{kind} {number}")).collect();
        assert_eq!(own, expected.iter().collect::<Vec<_>>(), "each publisher's own order is kept");
    }
}

#[test]
fn who_wants_no_echo_hears_all_but_itself() {
    let broker = Broker::start(&["--workers", "2"]);
    let address = broker.address();
    let mut here = subscribe(address, "echo");
    let mut there = subscribe(address, "echo");
    here.send_json(&json!({"type": "publish", "topic": "echo", "data": "mine", "echo": false}));
    here.send_json(&json!({"type": "publish", "topic": "echo", "data": "ours"}));
    assert_eq!(there.read_json()["data"], "mine");
    assert_eq!(there.read_json()["data"], "ours");
    assert_eq!(here.read_json()["data"], "ours");
}

#[test]
fn a_bare_socket_without_echo_hears_all_but_itself_on_every_worker() {
    let broker = Broker::start(&["--workers", "2"]);
    let address = broker.address();
    // Connections are dealt out in turn, so that two of each kind stand on different workers.
    let mut silent: Vec<_> = (0..2).map(|_| WebSocket::open(address, "/topics/echo?echo=false")).collect();
    let mut echoing: Vec<_> = (0..2).map(|_| WebSocket::open(address, "/topics/echo?echo=true")).collect();
    let mut sessions: Vec<_> = (0..2).map(|_| subscribe(address, "echo")).collect();
    let mut said = Vec::new();
    for round in 0..20 {
        for (index, socket) in silent.iter_mut().chain(&mut echoing).enumerate() {
            let text = format!("{index} in round {round}");
            socket.send_text(&text);
            // The order is settled one by one, so that it can be compared with.
            assert_eq!(sessions[0].read_json()["data"], text.as_str());
            said.push(text);
        }
    }
    for text in &said {
        assert_eq!(sessions[1].read_json()["data"], text.as_str());
        for socket in &mut echoing {
            assert_eq!(socket.read().payload, text.as_bytes());
        }
    }
    for (index, socket) in silent.iter_mut().enumerate() {
        let own = format!("{index} in");
        for text in said.iter().filter(|text| !text.starts_with(&own)) {
            assert_eq!(socket.read().payload, text.as_bytes(), "what others say, and nothing of its own");
        }
    }
}
