//! Every payload, from every way in, intact on every way out.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use fanwire_protocol::{ClientFrame, Message, Payload, Request, ServerFrame, msgpack};
use fanwire_tests::{Broker, Events, Opcode, WebSocket, binary, get, post};
use serde_json::{Value, json};

use super::{publish, subscribe};

fn subscribe_msgpack(broker: &Broker, topic: &str) -> WebSocket {
    let mut socket = WebSocket::open_msgpack(broker.address());
    let request =
        Request::Subscribe { pattern: topic.parse().expect("a topic"), options: Default::default() };
    let mut bytes = Vec::new();
    msgpack::encode_client(&ClientFrame { id: Some(1), request }, &mut bytes);
    socket.send_frame(true, Opcode::BINARY, &bytes);
    assert!(matches!(msgpack::decode_server(&socket.read().payload), Ok(ServerFrame::Reply { .. })));
    socket
}

fn read_msgpack(socket: &mut WebSocket) -> Message {
    match msgpack::decode_server(&socket.read().payload) {
        Ok(ServerFrame::Message(message)) => message,
        other => panic!("expected a message, got {other:?}"),
    }
}

fn publish_msgpack(socket: &mut WebSocket, topic: &str, payload: Payload) {
    let request = Request::Publish { topic: topic.parse().expect("a topic"), payload, key: None, echo: true };
    let mut bytes = Vec::new();
    msgpack::encode_client(&ClientFrame { id: None, request }, &mut bytes);
    socket.send_frame(true, Opcode::BINARY, &bytes);
}

/// Everything that listens to one topic, each over another transport.
struct Listeners {
    json: WebSocket,
    msgpack: WebSocket,
    bare: WebSocket,
    sse: Events,
}

/// A payload as each transport shows it.
struct Shown {
    /// The field of a JSON frame, and its value.
    json: (&'static str, Value),
    /// The bare payload, and whether it is binary.
    bare: (Vec<u8>, bool),
    /// The data of the event.
    sse: String,
}

impl Listeners {
    fn open(broker: &Broker, topic: &str) -> Self {
        let address = broker.address();
        let mut sse = Events::open(address, &format!("/topics/{topic}"), "");
        assert!(sse.next_block().is_some_and(|block| block.retry.is_some()));
        Self {
            json: subscribe(address, topic),
            msgpack: subscribe_msgpack(broker, topic),
            bare: WebSocket::open(address, &format!("/topics/{topic}")),
            sse,
        }
    }

    fn check(&mut self, what: &str, shown: &Shown) {
        let frame = self.json.read_json();
        let (field, value) = &shown.json;
        assert_eq!(&frame[*field], value, "{what}: {frame}");
        let message = read_msgpack(&mut self.msgpack);
        assert_eq!(message.position.map(|position| position.offset), frame["offset"].as_u64(), "{what}");
        assert_eq!(message.payload.to_bare(), shown.bare.0, "{what}");
        assert_eq!(message.payload.is_binary(), shown.bare.1, "{what}");
        let bare = self.bare.read();
        assert_eq!((bare.payload, bare.opcode == Opcode::BINARY), shown.bare.clone(), "{what}");
        let event = self.sse.next_event().expect("an event");
        assert_eq!(
            (event.data, event.kind.as_str()),
            (shown.sse.clone(), if shown.bare.1 { "binary" } else { "message" })
        );
    }
}

fn shown_text(text: &str) -> Shown {
    Shown { json: ("data", json!(text)), bare: (text.as_bytes().to_vec(), false), sse: text.to_owned() }
}

fn shown_json(text: &str) -> Shown {
    let value = serde_json::from_str(text).expect("the test's own JSON is valid");
    Shown { json: ("data", value), bare: (text.as_bytes().to_vec(), false), sse: text.to_owned() }
}

fn shown_binary(bytes: &[u8], base64: &str) -> Shown {
    Shown { json: ("data_base64", json!(base64)), bare: (bytes.to_vec(), true), sse: base64.to_owned() }
}

#[test]
fn every_payload_arrives_intact_over_every_transport_whatever_it_came_over() {
    let broker = Broker::start(&["--workers", "2"]);
    let address = broker.address();
    let topic = "every.way";
    let path = "/topics/every.way";
    let mut all = Listeners::open(&broker, topic);
    let unicode = "tab\t, quote \", backslash \\, bell \u{7}, null \u{0}, ä, 漢, 😀, \u{2028}";
    let mut json_session = WebSocket::open(address, "/ws");
    let mut msgpack_session = WebSocket::open_msgpack(address);
    let mut bare_session = WebSocket::open(address, "/topics/every.way?echo=false");

    publish(address, topic, unicode);
    all.check("text over HTTP", &shown_text(unicode));
    bare_session.read();
    post(address, path, "application/json", br#"{"n":9007199254740993,"f":1.5,"a":[null,true]}"#);
    all.check("JSON over HTTP", &shown_json(r#"{"n":9007199254740993,"f":1.5,"a":[null,true]}"#));
    bare_session.read();
    post(address, path, "application/json", br#""a JSON string is text""#);
    all.check("a JSON string over HTTP", &shown_text("a JSON string is text"));
    bare_session.read();
    post(address, path, "application/octet-stream", &[0, 255, 128]);
    all.check("binary over HTTP", &shown_binary(&[0, 255, 128], "AP+A"));
    bare_session.read();
    post(address, "/publish", "application/json", br#"{"messages":[{"topic":"every.way","data":-7}]}"#);
    all.check("a batch", &shown_json("-7"));
    bare_session.read();

    json_session.send_json(&json!({"type": "publish", "topic": topic, "data": unicode}));
    all.check("text over JSON", &shown_text(unicode));
    bare_session.read();
    json_session.send_text(r#"{"type":"publish","topic":"every.way","data":18446744073709551615}"#);
    all.check("a large number over JSON", &shown_json("18446744073709551615"));
    bare_session.read();
    json_session.send_json(&json!({"type": "publish", "topic": topic, "data_base64": "AP+A"}));
    all.check("binary over JSON", &shown_binary(&[0, 255, 128], "AP+A"));
    bare_session.read();

    publish_msgpack(&mut msgpack_session, topic, Payload::text(unicode));
    all.check("text over MessagePack", &shown_text(unicode));
    bare_session.read();
    publish_msgpack(&mut msgpack_session, topic, Payload::binary([0, 255, 128]));
    all.check("binary over MessagePack", &shown_binary(&[0, 255, 128], "AP+A"));
    bare_session.read();
    // {"b": bin 00 ff, 7: -1, "u": 2^64-1}, whose map has a key that is no string.
    let value = b"\x83\xa1b\xc4\x02\x00\xff\x07\xff\xa1u\xcf\xff\xff\xff\xff\xff\xff\xff\xff";
    publish_msgpack(&mut msgpack_session, topic, Payload::from_msgpack(value).unwrap());
    all.check("a MessagePack map", &shown_json(r#"{"b":"AP8=","7":-1,"u":18446744073709551615}"#));
    bare_session.read();

    bare_session.send_text(unicode);
    all.check("text over a bare WebSocket", &shown_text(unicode));
    bare_session.send_frame(true, Opcode::BINARY, &[0, 255, 128]);
    all.check("binary over a bare WebSocket", &shown_binary(&[0, 255, 128], "AP+A"));
    bare_session.send_text("");
    all.check("empty text", &shown_text(""));
    publish(address, topic, "two\nlines");
    all.check("two lines", &shown_text("two\nlines"));
}

#[test]
fn a_message_frame_is_the_same_bytes_for_every_subscriber() {
    let broker = Broker::start(&["--workers", "2"]);
    let mut json: Vec<_> = (0..6).map(|_| subscribe(broker.address(), "same")).collect();
    let mut msgpack: Vec<_> = (0..6).map(|_| subscribe_msgpack(&broker, "same")).collect();
    for text in ["one", "two", "three"] {
        publish(broker.address(), "same", text);
    }
    for sockets in [&mut json, &mut msgpack] {
        let mut heard = sockets.iter_mut().map(|socket| [socket.read(), socket.read(), socket.read()]);
        let first = heard.next().expect("there are six");
        assert!(heard.all(|frames| frames == first));
    }
}

#[test]
fn message_frames_say_where_and_when() {
    let broker = Broker::with_file("[[topic]]\nmatch = 'mute'\nhistory = false\n", &[]);
    let mut socket = subscribe(broker.address(), "kept");
    let receipt = publish(broker.address(), "kept", "x");
    let frame = socket.read_json();
    assert_eq!(
        (&frame["topic"], &frame["offset"], &frame["epoch"]),
        (&json!("kept"), &receipt["offset"], &receipt["epoch"])
    );
    let ts = frame["ts"].as_u64().expect("a time");
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .expect("it is past 1970")
        .as_millis() as u64;
    assert!(now - 60_000 < ts && ts <= now + 1_000, "{ts}");
    let mut mute = subscribe(broker.address(), "mute");
    publish(broker.address(), "mute", "x");
    assert_eq!(mute.read_json(), json!({"type": "message", "topic": "mute", "data": "x"}));
}

#[test]
fn the_command_line_hears_and_says_the_same() {
    let broker = Broker::start(&[]);
    let url = format!("http://{}", broker.address());
    let mut sub = Command::new(binary())
        .args(["sub", "--url", &url, "--count", "2", "chat.*"])
        .stdout(Stdio::piped())
        .spawn()
        .expect("fanwire sub starts");
    broker.await_metric("fanwire_subscriptions", 1.0);
    let receipt = publish(broker.address(), "chat.lobby", "from HTTP");
    assert_eq!(receipt["subscribers"], 1);
    let published =
        Command::new(binary()).args(["pub", "--url", &url, "chat.lobby", "from the terminal"]).output();
    assert!(published.expect("fanwire pub starts").status.success());
    let lines: Vec<String> =
        BufReader::new(sub.stdout.take().expect("it is piped")).lines().map_while(Result::ok).collect();
    assert!(sub.wait().expect("it ends").success());
    assert_eq!(lines.len(), 2);
    assert!(lines[0].ends_with("from HTTP") && lines[1].ends_with("from the terminal"), "{lines:?}");
}

#[test]
fn receipts_say_how_many_were_subscribed() {
    let broker = Broker::start(&["--workers", "2"]);
    assert_eq!(publish(broker.address(), "count.me", "x")["subscribers"], 0);
    let _plain: Vec<_> = (0..3).map(|_| subscribe(broker.address(), "count.me")).collect();
    let _pattern = subscribe(broker.address(), "count.*");
    let _other = subscribe(broker.address(), "count.you");
    let receipt = publish(broker.address(), "count.me", "x");
    assert_eq!(
        (&receipt["topic"], &receipt["offset"], &receipt["subscribers"]),
        (&json!("count.me"), &json!(2), &json!(4))
    );
}

#[test]
fn a_repeated_key_is_published_once() {
    let broker = Broker::start(&[]);
    let mut socket = subscribe(broker.address(), "once");
    let request = "POST /topics/once HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: text/plain\r\n\
                   Idempotency-Key: order-7\r\nContent-Length: 1\r\n\r\nx";
    let first = fanwire_tests::request(broker.address(), request).json();
    let second = fanwire_tests::request(broker.address(), request).json();
    assert_eq!((&first["duplicate"], &second["duplicate"]), (&Value::Null, &json!(true)));
    assert_eq!((&first["offset"], &first["epoch"]), (&second["offset"], &second["epoch"]));
    let third =
        socket.ask(&json!({"type": "publish", "id": 3, "topic": "once", "data": "x", "key": "order-7"}));
    assert_eq!((&third["type"], &third["duplicate"]), (&json!("published"), &json!(true)));
    publish(broker.address(), "once", "last");
    let history = get(broker.address(), "/topics/once").json();
    assert_eq!(history["messages"].as_array().map(Vec::len), Some(2));
}
