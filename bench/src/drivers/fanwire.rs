//! fanwire itself. Publishers are sessions on `/ws` that ask for a receipt of each publication: the receipt is the
//! acknowledgement that lets the next one out. Subscribers listen over any of the transports.

use std::net::SocketAddr;
use std::path::Path;

use fanwire_protocol::{
    ClientFrame, Payload, Reply, Request, SUBPROTOCOL_JSON, SUBPROTOCOL_MSGPACK, ServerFrame, Since,
    SubscribeOptions, json, msgpack,
};

use super::{Driver, Programs};
use crate::error::BenchError;
use crate::load::{Connection, Handshake};
use crate::server::{Cores, Owned, Probe, Process, ProcessPlan, Server};
use crate::wire::websocket::{BINARY, TEXT, client_frame};
use crate::wire::{Decoder, EventStream, Frames, Framing, Masked, Template, Vocabulary};

const DEFAULTS: &[&str] = &["serve", "--listen", "127.0.0.1:0"];
const CONFIGURED: &[&str] = &["serve", "--listen", "127.0.0.1:0", "--config", "/dev/stdin"];

/// How subscribers listen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Transport {
    /// `/ws` in JSON.
    Json,
    /// `/ws` in MessagePack.
    MessagePack,
    /// `/topics/{topic}` as a bare WebSocket.
    Bare,
    /// `/topics/{topic}` as Server-Sent Events.
    Events,
}

/// The driver.
#[derive(Debug)]
pub(crate) struct Fanwire {
    transport: Transport,
    /// How the server is configured, as a file; empty for its defaults.
    configuration: String,
}

impl Fanwire {
    /// A driver whose subscribers listen over `transport`.
    pub(crate) fn new(transport: Transport) -> Self {
        Self { transport, configuration: String::new() }
    }

    /// The same, with a server that holds so many publications of every topic.
    pub(crate) fn holding(self, publications: u64) -> Self {
        let history = format!("{{ messages = {publications}, bytes = \"4GiB\", ttl = \"1h\" }}");
        let rule = format!("[[topic]]\nmatch = \">\"\nhistory = {history}\n");
        Self { configuration: format!("[history]\nbytes_max = \"4GiB\"\n\n{rule}"), ..self }
    }

    /// The same, with a server that keeps every topic in `directory`.
    pub(crate) fn durable(self, directory: &Path) -> Self {
        let directory = toml_string(directory);
        Self {
            configuration: format!("data_dir = {directory}\n[[topic]]\nmatch = \">\"\ndurable = true\n"),
            ..self
        }
    }

    /// MessagePack sessions publish in MessagePack; for all others the publisher speaks JSON.
    fn session_vocabulary(&self) -> Vocabulary {
        if self.transport == Transport::MessagePack { Vocabulary::MessagePack } else { Vocabulary::Json }
    }

    fn open_session(&self, address: SocketAddr, number: usize) -> Result<Handshake, BenchError> {
        let mut handshake = Handshake::connect(address, number)?;
        let subprotocol = match self.session_vocabulary() {
            Vocabulary::MessagePack => SUBPROTOCOL_MSGPACK,
            _ => SUBPROTOCOL_JSON,
        };
        handshake.upgrade("/ws", Some(subprotocol))?;
        Ok(handshake)
    }

    fn open_subscribed_session(
        &self,
        address: SocketAddr,
        number: usize,
        topic: &str,
        since: Option<Since>,
    ) -> Result<Connection, BenchError> {
        let vocabulary = self.session_vocabulary();
        let mut handshake = self.open_session(address, number)?;
        let (opcode, frame) = encode(vocabulary, &subscribe(topic, since)?);
        handshake.send_message(opcode, &frame)?;
        let answer = handshake.read_message()?;
        match decode(vocabulary, &answer)? {
            ServerFrame::Reply { reply: Reply::Subscribed { .. }, .. } => {
                handshake.finish(Decoder::Frames(Frames::new(vocabulary)))
            }
            other => Err(BenchError::Refused(format!("a subscription was answered with {other:?}"))),
        }
    }
}

impl Fanwire {
    fn open(
        &self,
        address: SocketAddr,
        number: usize,
        topic: &str,
        since: Option<Since>,
    ) -> Result<Connection, BenchError> {
        let query = if since.is_some() { "?since=earliest" } else { "" };
        match self.transport {
            Transport::Json | Transport::MessagePack => {
                self.open_subscribed_session(address, number, topic, since)
            }
            Transport::Bare => {
                let mut handshake = Handshake::connect(address, number)?;
                handshake.upgrade(&format!("/topics/{topic}{query}"), None)?;
                handshake.finish(Decoder::Frames(Frames::new(Vocabulary::Bare)))
            }
            Transport::Events => open_event_stream(address, number, &format!("{topic}{query}")),
        }
    }
}

impl Driver for Fanwire {
    fn start(&self, programs: &Programs, cores: Option<Cores>) -> Result<Server, BenchError> {
        let plan = ProcessPlan {
            program: &programs.fanwire,
            arguments: if self.configuration.is_empty() { DEFAULTS } else { CONFIGURED },
            input: &self.configuration,
            address_in: printed_address,
        };
        let (process, address) = Process::start(&plan, cores)?;
        let probe = Some(Probe::of_process(process.id()));
        Ok(Server { address, probe, _owned: Owned::Process(process) })
    }

    fn open_subscriber(
        &self,
        address: SocketAddr,
        number: usize,
        topic: &str,
    ) -> Result<Connection, BenchError> {
        self.open(address, number, topic, None)
    }

    fn open_replay(&self, address: SocketAddr, number: usize, topic: &str) -> Result<Connection, BenchError> {
        self.open(address, number, topic, Some(Since::Earliest))
    }

    fn open_publisher(
        &self,
        address: SocketAddr,
        number: usize,
        _alone_in: Option<&str>,
    ) -> Result<Connection, BenchError> {
        let decoder = Decoder::Frames(Frames::new(self.session_vocabulary()));
        self.open_session(address, number)?.finish(decoder)
    }

    fn publication(&self, topic: &str, payload: &str) -> Template {
        let request = Request::Publish {
            topic: topic.parse().expect("the scenarios name topics by the rules"),
            payload: Payload::text(payload),
            key: None,
            echo: true,
        };
        // Receipts are counted, not matched, so one id serves for all.
        let (opcode, message) = encode(self.session_vocabulary(), &ClientFrame { id: Some(1), request });
        Template::new(&message, client_frame(opcode, &message), Masked::Yes)
    }
}

fn open_event_stream(address: SocketAddr, number: usize, place: &str) -> Result<Connection, BenchError> {
    let mut handshake = Handshake::connect(address, number)?;
    let request =
        format!("GET /topics/{place} HTTP/1.1\r\nHost: {address}\r\nAccept: text/event-stream\r\n\r\n");
    handshake.send(request.as_bytes())?;
    let head = handshake.read_head()?.to_ascii_lowercase();
    if !head.starts_with("http/1.1 200") || !head.contains("\r\ncontent-type: text/event-stream") {
        let line = head.lines().next().unwrap_or_default();
        return Err(BenchError::Refused(format!("the server did not begin an event stream: {line}")));
    }
    let framing =
        if head.contains("\r\ntransfer-encoding: chunked") { Framing::Chunked } else { Framing::UntilClose };
    handshake.finish(Decoder::EventStream(EventStream::new(framing)))
}

fn subscribe(topic: &str, since: Option<Since>) -> Result<ClientFrame, BenchError> {
    let pattern = topic.parse().map_err(|error| BenchError::Plan(format!("'{topic}': {error}")))?;
    Ok(ClientFrame {
        id: Some(1),
        request: Request::Subscribe { pattern, options: SubscribeOptions { since, ..Default::default() } },
    })
}

fn encode(vocabulary: Vocabulary, frame: &ClientFrame) -> (u8, Vec<u8>) {
    let mut message = Vec::new();
    match vocabulary {
        Vocabulary::MessagePack => {
            msgpack::encode_client(frame, &mut message);
            (BINARY, message)
        }
        Vocabulary::Json | Vocabulary::Bare => {
            json::encode_client(frame, &mut message);
            (TEXT, message)
        }
    }
}

fn decode(vocabulary: Vocabulary, message: &[u8]) -> Result<ServerFrame, BenchError> {
    match vocabulary {
        Vocabulary::MessagePack => msgpack::decode_server(message),
        Vocabulary::Json | Vocabulary::Bare => json::decode_server(&String::from_utf8_lossy(message)),
    }
    .map_err(|error| BenchError::Refused(format!("the server sent an unreadable frame: {error}")))
}

/// A path as TOML writes it.
fn toml_string(path: &Path) -> String {
    let text = path.to_string_lossy();
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

/// The first address of the loopback network in a line, with a port.
fn printed_address(line: &str) -> Option<SocketAddr> {
    let start = line.find("127.0.0.1:")?;
    let end = line[start + 10..].find(|character: char| !character.is_ascii_digit());
    line[start..end.map_or(line.len(), |end| start + 10 + end)].parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stamp::{Stamp, StampFinder};
    use crate::wire::websocket::MASKING_KEY;

    #[test]
    fn the_address_is_found_in_whatever_surrounds_it() {
        let expected = Some("127.0.0.1:41234".parse().unwrap());
        assert_eq!(printed_address("  listening on http://127.0.0.1:41234/console"), expected);
        assert_eq!(printed_address("127.0.0.1:41234"), expected);
        assert_eq!(printed_address("\u{1b}[1m127.0.0.1:41234\u{1b}[0m"), expected);
        assert_eq!(printed_address("listening on localhost"), None);
        assert_eq!(printed_address("127.0.0.1:"), None);
    }

    #[test]
    fn a_publication_is_a_valid_frame_that_carries_its_stamp() {
        for transport in [Transport::Json, Transport::MessagePack] {
            let driver = Fanwire::new(transport);
            let stamp = Stamp { publisher: 3, sequence: 4, due_nanos: 5 };
            let mut sent = Vec::new();
            driver.publication("bench.000001", &Template::payload(128)).write(stamp, &mut sent);
            // Two bytes of header, two of length, four of key.
            let message: Vec<u8> =
                sent[8..].iter().zip(MASKING_KEY.iter().cycle()).map(|(byte, key)| byte ^ key).collect();
            let frame = match transport {
                Transport::MessagePack => msgpack::decode_client(&message).unwrap(),
                _ => json::decode_client(std::str::from_utf8(&message).unwrap()).unwrap(),
            };
            let Request::Publish { topic, payload, echo: true, key: None } = frame.request else {
                panic!("{frame:?}");
            };
            assert_eq!(topic.as_str(), "bench.000001");
            assert_eq!(payload.len(), 128);
            assert_eq!(StampFinder::default().find(&payload.to_bare()), Some(stamp));
        }
    }
}
