//! Every payload, from every way in, intact on every way out.

use std::io::Write;
use std::net::SocketAddr;
use std::process::{Command, Stdio};

use fanwire_protocol::{Payload, Request};
use fanwire_tests::{Broker, Opcode, PATIENCE, WebSocket, binary, post};
use serde_json::json;

use crate::fixtures::readers::{
    Listeners, lines_of, send_msgpack, shown_binary, shown_text, shown_value, subscribe_msgpack,
};
use crate::fixtures::texts::{publish, subscribe};

const TOPIC: &str = "every.way";

/// One kind of payload that the tests publish.
#[derive(Debug, Clone, Copy)]
enum Said<'a> {
    Text(&'a str),
    Binary(&'a [u8]),
    Json(&'a str),
    MessagePack(&'a [u8]),
}

/// What it is published over.
#[derive(Debug, Clone, Copy)]
enum Way {
    Http,
    Batch,
    JsonSession,
    MessagePackSession,
    Bare,
    Terminal,
}

const WAYS: [Way; 6] =
    [Way::Http, Way::Batch, Way::JsonSession, Way::MessagePackSession, Way::Bare, Way::Terminal];

impl Way {
    /// Whether this kind of payload has a form on this way: a bare WebSocket has text and binary only, and a MessagePack
    /// value goes over a MessagePack session only.
    fn can_say(self, said: Said<'_>) -> bool {
        match said {
            Said::Text(_) | Said::Binary(_) => true,
            Said::Json(_) => !matches!(self, Way::Bare),
            Said::MessagePack(_) => matches!(self, Way::MessagePackSession),
        }
    }
}

struct Publishers {
    address: SocketAddr,
    json: WebSocket,
    msgpack: WebSocket,
    bare: WebSocket,
}

impl Publishers {
    fn open(address: SocketAddr) -> Self {
        Self {
            address,
            json: WebSocket::open(address, "/ws"),
            msgpack: WebSocket::open_msgpack(address),
            bare: WebSocket::open(address, &format!("/topics/{TOPIC}?echo=false")),
        }
    }

    fn say(&mut self, way: Way, said: Said<'_>) {
        match (way, said) {
            (Way::MessagePackSession, said) => self.say_msgpack(said),
            (Way::Http, said) => self.post(said),
            (Way::Batch, said) => {
                let body = format!(r#"{{"messages":[{{"topic":"{TOPIC}",{}}}]}}"#, field(said));
                let answer = post(self.address, "/publish", "application/json", body.as_bytes());
                assert_eq!(answer.json()["results"][0]["topic"], TOPIC, "{}", answer.text());
            }
            (Way::JsonSession, said) => {
                self.json.send_text(&format!(r#"{{"type":"publish","topic":"{TOPIC}",{}}}"#, field(said)));
            }
            (Way::Bare, Said::Text(text) | Said::Json(text)) => self.bare.send_text(text),
            (Way::Bare, Said::Binary(bytes) | Said::MessagePack(bytes)) => {
                self.bare.send_frame(true, Opcode::BINARY, bytes);
            }
            (Way::Terminal, said) => self.say_in_terminal(said),
        }
    }

    fn post(&self, said: Said<'_>) {
        let (content_type, body) = match said {
            Said::Text(text) => ("text/plain; charset=utf-8", text.as_bytes()),
            Said::Json(text) => ("application/json", text.as_bytes()),
            Said::Binary(bytes) | Said::MessagePack(bytes) => ("application/octet-stream", bytes),
        };
        let answer = post(self.address, &format!("/topics/{TOPIC}"), content_type, body);
        assert_eq!(answer.status, 200, "{}", answer.text());
    }

    fn say_msgpack(&mut self, said: Said<'_>) {
        let payload = match said {
            Said::Text(text) => Payload::text(text),
            Said::Binary(bytes) => Payload::binary(bytes),
            Said::Json(text) => Payload::from_json(text).expect("the test's own JSON is valid"),
            Said::MessagePack(bytes) => Payload::from_msgpack(bytes).expect("valid MessagePack"),
        };
        let topic = TOPIC.parse().expect("a topic");
        send_msgpack(&mut self.msgpack, None, Request::Publish { topic, payload, key: None, echo: true });
    }

    fn say_in_terminal(&self, said: Said<'_>) {
        let (flags, input): (&[&str], &[u8]) = match said {
            Said::Text(text) => (&[], text.as_bytes()),
            Said::Json(text) => (&["--json"], text.as_bytes()),
            Said::Binary(bytes) | Said::MessagePack(bytes) => (&["--binary"], bytes),
        };
        let url = format!("http://{}", self.address);
        let mut process = Command::new(binary())
            .args(["pub", "--quiet", "--url", &url])
            .args(flags)
            .arg(TOPIC)
            .stdin(Stdio::piped())
            .spawn()
            .expect("fanwire pub starts");
        process.stdin.take().expect("it is piped").write_all(input).expect("it reads");
        assert!(process.wait().expect("it ends").success());
    }
}

/// The payload as a field of a JSON frame.
fn field(said: Said<'_>) -> String {
    match said {
        Said::Text(text) => format!(r#""data":{}"#, json!(text)),
        Said::Json(text) => format!(r#""data":{text}"#),
        Said::Binary(bytes) | Said::MessagePack(bytes) => {
            use base64::Engine;
            format!(r#""data_base64":"{}""#, base64::engine::general_purpose::STANDARD.encode(bytes))
        }
    }
}

/// Every control character, every kind of character that some encoding must escape, and some of each length in UTF-8.
fn difficult_text() -> String {
    let controls: String = (0..0x20).chain(0x7f..0xa0).filter_map(char::from_u32).collect();
    format!("{controls} \" \\ / </script> \u{2028}\u{2029}\u{feff} ä 漢 😀 \u{10ffff} end")
}

#[test]
fn every_payload_arrives_intact_over_every_transport_whatever_it_came_over() {
    let broker = Broker::start(&["--workers", "2"]);
    let mut listeners = Listeners::open(&broker, TOPIC);
    let mut publishers = Publishers::open(broker.address());
    let text = difficult_text();
    let all_bytes: Vec<u8> = (0..=255).collect();
    let base64 = field(Said::Binary(&all_bytes));
    let base64 = base64.split('"').nth(3).expect("the value");
    let numbers =
        r#"{"n":9007199254740993,"f":1.5,"a":[null,true,-1,18446744073709551615,-9223372036854775808]}"#;
    let numbers_msgpack =
        b"\x83\xa1n\xcf\0\x20\0\0\0\0\0\x01\xa1f\xcb\x3f\xf8\0\0\0\0\0\0\xa1a\x95\xc0\xc3\xff\
        \xcf\xff\xff\xff\xff\xff\xff\xff\xff\xd3\x80\0\0\0\0\0\0\0";
    let spaced = "{\"two\":\r\n [1, {\"e\": \"\\u0000\\n\"}]}";
    let spaced_msgpack = b"\x81\xa3two\x92\x01\x81\xa1e\xa2\0\n";
    // {"b": bin 00 ff, 7: -1, "u": 2^64-1, true: NaN, nil: [false]}
    let map = b"\x85\xa1b\xc4\x02\x00\xff\x07\xff\xa1u\xcf\xff\xff\xff\xff\xff\xff\xff\xff\xc3\xcb\x7f\xf8\0\0\0\0\0\0\
        \xc0\x91\xc2";
    let map_json = r#"{"b":"AP8=","7":-1,"u":18446744073709551615,"true":null,"null":[false]}"#;
    let mut spaced_shown = shown_value(spaced, spaced_msgpack);
    spaced_shown.event.0 = spaced.replace("\r\n", "\n");
    let cases = [
        (Said::Text(&text), shown_text(&text)),
        (Said::Text(""), shown_text("")),
        (Said::Text("two\nlines\r\n\nand more\n."), shown_text("two\nlines\r\n\nand more\n.")),
        (Said::Binary(&all_bytes), shown_binary(&all_bytes, base64)),
        (Said::Binary(b""), shown_binary(b"", "")),
        (Said::Json(numbers), shown_value(numbers, numbers_msgpack)),
        (Said::Json(spaced), spaced_shown),
        (Said::Json("-7"), shown_value("-7", b"\xf9")),
        (Said::Json("null"), shown_value("null", b"\xc0")),
        (Said::Json(r#""a JSON string is text""#), shown_text("a JSON string is text")),
        (Said::MessagePack(map), shown_value(map_json, map)),
    ];
    for (said, shown) in &cases {
        for way in WAYS {
            // Said in MessagePack, a value has no white space that could be kept.
            let loses_space =
                matches!((way, said), (Way::MessagePackSession, Said::Json(text)) if *text == spaced);
            if way.can_say(*said) && !loses_space {
                listeners.await_ready(&broker);
                publishers.say(way, *said);
                listeners.check(&format!("{said:?} over {way:?}"), shown);
            }
        }
    }
}

#[test]
fn a_message_frame_is_the_same_bytes_for_every_subscriber() {
    let broker = Broker::start(&["--workers", "2"]);
    let mut json: Vec<_> = (0..6).map(|_| subscribe(broker.address(), "same")).collect();
    let mut msgpack: Vec<_> = (0..6).map(|_| subscribe_msgpack(broker.address(), "same")).collect();
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
    let printed = lines_of(&mut sub);
    let lines = [(); 2].map(|()| printed.recv_timeout(PATIENCE).expect("a line comes in time"));
    assert!(printed.recv_timeout(PATIENCE).is_err(), "two were asked for");
    assert!(sub.wait().expect("it ends").success());
    assert!(lines[0].ends_with("from HTTP") && lines[1].ends_with("from the terminal"), "{lines:?}");
}
