//! Everything that can listen to one topic, at once, each over another transport.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread::JoinHandle;

use fanwire_client::{Client, Encoding, Event, Subscription};
use fanwire_protocol::{ClientFrame, Message, Payload, PayloadView, Request, ServerFrame, msgpack};
use fanwire_tests::{Broker, Events, Opcode, PATIENCE, WebSocket, binary, get};
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use super::subscribe;

/// A payload as each kind of reader must be given it.
#[derive(Debug, Clone)]
pub(super) struct Shown {
    /// The field of a JSON frame, and its value.
    pub(super) json: (&'static str, Value),
    /// The bare payload, and whether it is binary.
    pub(super) bare: (Vec<u8>, bool),
    /// The data of an event, and its kind.
    pub(super) event: (String, &'static str),
    /// The value in a MessagePack frame, byte for byte.
    pub(super) msgpack: Payload,
}

/// Text. Lines that end in CR or CRLF come over Server-Sent Events as lines that end in LF (WHATWG HTML §9.2.6).
pub(super) fn shown_text(text: &str) -> Shown {
    Shown {
        json: ("data", json!(text)),
        bare: (text.as_bytes().to_vec(), false),
        event: (text.replace("\r\n", "\n").replace('\r', "\n"), "message"),
        msgpack: Payload::text(text),
    }
}

/// Binary, and how it reads in base64.
pub(super) fn shown_binary(bytes: &[u8], base64: &str) -> Shown {
    Shown {
        json: ("data_base64", json!(base64)),
        bare: (bytes.to_vec(), true),
        event: (base64.to_owned(), "binary"),
        msgpack: Payload::binary(bytes),
    }
}

/// A value with its text in JSON and its bytes in MessagePack.
pub(super) fn shown_value(text: &str, msgpack: &[u8]) -> Shown {
    let value = serde_json::from_str(text).expect("the test's own JSON is valid");
    let msgpack = Payload::from_msgpack(msgpack).expect("the test's own MessagePack is valid");
    Shown {
        json: ("data", value),
        bare: (text.as_bytes().to_vec(), false),
        event: (text.to_owned(), "message"),
        msgpack,
    }
}

/// Subscribes a session in MessagePack.
pub(super) fn subscribe_msgpack(address: SocketAddr, topic: &str) -> WebSocket {
    let mut socket = WebSocket::open_msgpack(address);
    let request =
        Request::Subscribe { pattern: topic.parse().expect("a topic"), options: Default::default() };
    send_msgpack(&mut socket, Some(1), request);
    assert!(matches!(msgpack::decode_server(&socket.read().payload), Ok(ServerFrame::Reply { .. })));
    socket
}

/// Sends one request in MessagePack.
pub(super) fn send_msgpack(socket: &mut WebSocket, id: Option<u32>, request: Request) {
    let mut bytes = Vec::new();
    msgpack::encode_client(&ClientFrame { id, request }, &mut bytes);
    socket.send_frame(true, Opcode::BINARY, &bytes);
}

fn read_msgpack(socket: &mut WebSocket) -> Message {
    match msgpack::decode_server(&socket.read().payload) {
        Ok(ServerFrame::Message(message)) => message,
        other => panic!("expected a message, got {other:?}"),
    }
}

/// What a process prints, line by line, so that a line that does not come can be given up.
pub(super) fn lines_of(process: &mut Child) -> mpsc::Receiver<String> {
    let output = BufReader::new(process.stdout.take().expect("its output is piped"));
    let (sender, lines) = mpsc::channel();
    // Ends with the process.
    std::thread::spawn(move || output.lines().map_while(Result::ok).all(|line| sender.send(line).is_ok()));
    lines
}

/// `fanwire sub --json`, as a process.
struct Terminal {
    process: Child,
    lines: mpsc::Receiver<String>,
}

impl Terminal {
    fn open(address: SocketAddr, pattern: &str) -> Self {
        let url = format!("http://{address}");
        let mut process = Command::new(binary())
            .args(["sub", "--json", "--url", &url, pattern])
            .stdout(Stdio::piped())
            .spawn()
            .expect("fanwire sub starts");
        let lines = lines_of(&mut process);
        Self { process, lines }
    }

    fn next(&mut self) -> Value {
        let line = self.lines.recv_timeout(PATIENCE).expect("fanwire sub prints a line in time");
        serde_json::from_str(&line).expect("each line is one object")
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // The broker may have ended first, and the process with it.
        let _gone = self.process.kill();
        let _reaped = self.process.wait();
    }
}

/// Everything that listens to one topic.
pub(super) struct Listeners {
    address: SocketAddr,
    topic: String,
    json: WebSocket,
    pattern: WebSocket,
    msgpack: WebSocket,
    bare: WebSocket,
    events: Events,
    envelopes: Events,
    terminal: Terminal,
    runtime: Runtime,
    clients: Vec<Subscription>,
    /// Where the chain of polls stands.
    cursor: String,
    poll: Option<JoinHandle<Value>>,
}

/// How many subscriptions there are while a poll waits: those of [`Listeners`], and that of the bare socket that publishes.
const SUBSCRIPTIONS: u32 = 11;

impl Listeners {
    /// Subscribes everybody to `topic`, whose first level is followed by one other.
    pub(super) fn open(broker: &Broker, topic: &str) -> Self {
        let address = broker.address();
        let pattern = format!("{}.*", topic.split_once('.').expect("two levels").0);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let url = format!("ws://{address}/ws");
        let clients =
            [(Encoding::Json, topic), (Encoding::MessagePack, &pattern)].map(|(encoding, topic)| {
                runtime.block_on(async {
                    let client = Client::builder().encoding(encoding).connect(&url).await;
                    client.expect("the broker is there").subscribe(topic).await.expect("it may")
                })
            });
        let start = get(address, &format!("/topics/{topic}")).json();
        Self {
            address,
            topic: topic.to_owned(),
            json: subscribe(address, topic),
            pattern: subscribe(address, &pattern),
            msgpack: subscribe_msgpack(address, topic),
            bare: WebSocket::open(address, &format!("/topics/{topic}")),
            events: Events::open(address, &format!("/topics/{topic}"), ""),
            envelopes: Events::open(address, &format!("/stream?topic={topic}&envelope=true"), ""),
            terminal: Terminal::open(address, &pattern),
            runtime,
            clients: clients.into(),
            cursor: start["cursor"].as_str().expect("a cursor").to_owned(),
            poll: None,
        }
    }

    /// Begins a long poll and waits until everybody listens.
    pub(super) fn await_ready(&mut self, broker: &Broker) {
        let path = format!("/topics/{}?wait=15&since={}", self.topic, self.cursor);
        let address = self.address;
        self.poll = Some(std::thread::spawn(move || get(address, &path).json()));
        broker.await_metric("fanwire_subscriptions", f64::from(SUBSCRIPTIONS));
    }

    /// Checks that the next that everybody hears is what was just published, and that all agree on where it stands.
    pub(super) fn check(&mut self, what: &str, shown: &Shown) {
        let frame = self.json.read_json();
        let (field, value) = &shown.json;
        assert_eq!((&frame["topic"], &frame[*field]), (&json!(self.topic), value), "{what}: {frame}");
        assert_eq!(self.pattern.read_json(), frame, "{what}: over a pattern");
        self.check_msgpack(what, shown, &frame);
        let bare = self.bare.read();
        assert_eq!(
            (bare.payload, bare.opcode == Opcode::BINARY),
            shown.bare,
            "{what}: over a bare WebSocket"
        );
        let event = self.events.next_event().expect("an event");
        assert_eq!(
            (event.data.as_str(), event.kind.as_str()),
            (shown.event.0.as_str(), shown.event.1),
            "{what}"
        );
        let envelope: Value = serde_json::from_str(&self.envelopes.next_data()).expect("JSON");
        assert_eq!(envelope, frame, "{what}: in an envelope");
        assert_eq!(self.terminal.next(), frame, "{what}: from fanwire sub");
        let answer = self.poll.take().expect("a poll waits").join().expect("the poll is answered");
        let mut entry = frame.clone();
        entry.as_object_mut().expect("an object").remove("type");
        assert_eq!(
            (&answer["messages"], &answer["gap"]),
            (&json!([entry]), &json!(false)),
            "{what}: polled from {}",
            self.cursor
        );
        answer["cursor"].as_str().expect("a cursor").clone_into(&mut self.cursor);
        self.check_clients(what, shown, &frame);
    }

    fn check_msgpack(&mut self, what: &str, shown: &Shown, frame: &Value) {
        let message = read_msgpack(&mut self.msgpack);
        assert_eq!(message.position.map(|position| position.offset), frame["offset"].as_u64(), "{what}");
        assert_eq!(message.ts, frame["ts"].as_u64(), "{what}");
        assert!(message.payload == shown.msgpack, "{what}: {:?} in MessagePack", message.payload.view());
    }

    fn check_clients(&mut self, what: &str, shown: &Shown, frame: &Value) {
        for client in &mut self.clients {
            let event = self.runtime.block_on(async { tokio::time::timeout(PATIENCE, client.next()).await });
            let Ok(Some(Event::Message(message))) = event else { panic!("{what}: the client got {event:?}") };
            assert_eq!(message.position.map(|position| position.offset), frame["offset"].as_u64(), "{what}");
            assert_eq!(message.payload.is_binary(), shown.bare.1, "{what}: the client");
            if let PayloadView::MessagePack(_) = message.payload.view() {
                assert!(message.payload == shown.msgpack, "{what}: {:?}", message.payload.view());
            } else {
                assert_eq!(message.payload.to_bare(), shown.bare.0, "{what}: the client");
            }
        }
    }
}
