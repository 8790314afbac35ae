//! Everybody sees a topic's publications in one and the same order.

use std::net::SocketAddr;

use fanwire_tests::{Broker, Events, Opcode, WebSocket};
use serde_json::json;

use super::{publish, subscribe};

const EACH: usize = 100;

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
    vec![std::thread::spawn(over_http), std::thread::spawn(over_ws), std::thread::spawn(over_bare)]
}

#[test]
fn one_order_for_all_whatever_they_are_connected_over() {
    let broker = Broker::start(&["--workers", "2"]);
    let address = broker.address();
    let mut sessions: Vec<_> = (0..4).map(|_| subscribe(address, "order")).collect();
    let mut bare: Vec<_> = (0..2).map(|_| WebSocket::open(address, "/topics/order")).collect();
    let mut events: Vec<_> = (0..2).map(|_| Events::open(address, "/topics/order", "")).collect();
    let publishers = publish_over_everything(address, "order");
    let total = 3 * EACH;
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
    publishers.into_iter().for_each(|publisher| publisher.join().expect("it publishes all"));
    for other in &heard[1..] {
        assert_eq!(&heard[0], other);
    }
    for kind in ["http", "ws", "bare"] {
        let own: Vec<_> = heard[0].iter().filter(|text| text.starts_with(kind)).collect();
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
