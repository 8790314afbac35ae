//! fanwire itself. Publishers are sessions on `/ws` that ask for a receipt of each publication: the receipt is the
//! acknowledgement that lets the next one out. Subscribers listen over any of the transports.

use std::net::SocketAddr;
use std::path::Path;

use fanwire_protocol::{
    ClientFrame, Payload, Request, SUBPROTOCOL_JSON, SUBPROTOCOL_MSGPACK, Since, SubscribeOptions, json,
    msgpack,
};

use super::{Driver, Programs};
use crate::error::BenchError;
use crate::load::{Answer, Opening};
use crate::server::{Certificate, Cores, Endpoint, Owned, Probe, Process, ProcessPlan, Server};
use crate::wire::websocket::{BINARY, TEXT, client_frame};
use crate::wire::{Decoder, Frames, Masked, Template, Vocabulary};

const DEFAULTS: &[&str] = &["serve", "--listen", "127.0.0.1:0"];
const CONFIGURED: &[&str] = &["serve", "--listen", "127.0.0.1:0", "--config", "/dev/stdin"];

/// The transport and format of the subscribers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Transport {
    /// `/ws` with frames in JSON.
    Json,
    /// `/ws` with frames in MessagePack.
    MessagePack,
    /// `/topics/{topic}` as a bare WebSocket.
    Bare,
    /// `/topics/{topic}` as Server-Sent Events.
    Events,
}

/// Starts fanwire and speaks its protocol.
#[derive(Debug, Clone)]
pub(crate) struct Fanwire {
    transport: Transport,
    /// The settings of the server besides its defaults, as lines of its configuration file.
    settings: String,
    /// The rule for every topic, as lines; empty for the rule without configuration.
    rule: String,
    security: Security,
}

/// Whether the server speaks TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Security {
    Plain,
    Tls,
}

impl Fanwire {
    /// A driver whose subscribers listen over `transport`.
    pub(crate) fn new(transport: Transport) -> Self {
        Self { transport, settings: String::new(), rule: String::new(), security: Security::Plain }
    }

    /// The same, with a server that holds so many publications of every topic, for an hour.
    pub(crate) fn holding(mut self, publications: u64) -> Self {
        self.rule.push_str(&format!(
            "history = {{ messages = {publications}, bytes = \"4GiB\", ttl = \"1h\" }}\n"
        ));
        self.settings.push_str("history.bytes_max = \"16GiB\"\n");
        self
    }

    /// The same, with a server that keeps every topic in `directory`.
    pub(crate) fn durable(mut self, directory: &Path) -> Self {
        self.rule.push_str("durable = true\n");
        self.settings.push_str(&format!("data_dir = {}\n", toml_string(directory)));
        self
    }

    /// The same, with a server of so many workers.
    pub(crate) fn with_workers(mut self, workers: usize) -> Self {
        self.settings.push_str(&format!("workers = {workers}\n"));
        self
    }

    /// The same, with a server that speaks TLS by a certificate of its own.
    pub(crate) fn over_tls(mut self) -> Self {
        self.security = Security::Tls;
        self
    }

    /// The server's configuration as a file, `certificate` in it; empty for its defaults.
    fn configuration(&self, certificate: Option<&Certificate>) -> String {
        let tls = certificate.map_or_else(String::new, |certificate| {
            let (path, key) = (toml_string(&certificate.path()), toml_string(&certificate.key_path()));
            format!("tls.certificate = {path}\ntls.key = {key}\n")
        });
        let rule = if self.rule.is_empty() {
            String::new()
        } else {
            format!("[[topic]]\nmatch = \">\"\n{}", self.rule)
        };
        format!("{tls}{}{rule}", self.settings)
    }

    /// MessagePack sessions publish in MessagePack; for all others the publisher speaks JSON.
    fn session_vocabulary(&self) -> Vocabulary {
        if self.transport == Transport::MessagePack { Vocabulary::MessagePack } else { Vocabulary::Json }
    }

    fn session(&self, host: &str) -> Opening {
        let vocabulary = self.session_vocabulary();
        let subprotocol = match vocabulary {
            Vocabulary::MessagePack => SUBPROTOCOL_MSGPACK,
            _ => SUBPROTOCOL_JSON,
        };
        Opening::new(Decoder::Frames(Frames::new(vocabulary))).upgrade(host, "/ws", Some(subprotocol))
    }

    fn opening(&self, host: &str, patterns: &[String], since: Option<Since>) -> Result<Opening, BenchError> {
        if matches!(self.transport, Transport::Json | Transport::MessagePack) {
            let mut frames = Vec::new();
            for pattern in patterns {
                frames.extend(self.framed(&subscribe(pattern, since.clone())?));
            }
            // `subscribed` is the type of the reply in either encoding, and `error` that of a refusal.
            let answers =
                Answer::Messages { marker: b"subscribed", refusal: b"error", count: patterns.len() };
            return Ok(self.session(host).then(frames, answers));
        }
        let [topic] = patterns else {
            return Err(BenchError::LeftOut("a connection over this transport is one subscription".into()));
        };
        let query = if since.is_some() { "?since=earliest" } else { "" };
        let path = format!("/topics/{}{query}", topic.replace('>', "%3E"));
        let bare = Opening::new(Decoder::Frames(Frames::new(Vocabulary::Bare)));
        if self.transport == Transport::Bare {
            return Ok(bare.upgrade(host, &path, None));
        }
        let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nAccept: text/event-stream\r\n\r\n");
        Ok(bare.then(request, Answer::EventStream))
    }

    /// A frame as a session of this driver sends it.
    fn framed(&self, frame: &ClientFrame) -> Vec<u8> {
        let (opcode, message) = encode(self.session_vocabulary(), frame);
        client_frame(opcode, &message).0
    }
}

impl Driver for Fanwire {
    fn start(&self, programs: &Programs, cores: Option<Cores>) -> Result<Server, BenchError> {
        let certificate = (self.security == Security::Tls).then(Certificate::make).transpose()?;
        let configuration = self.configuration(certificate.as_ref());
        let plan = ProcessPlan {
            program: &programs.fanwire,
            arguments: if configuration.is_empty() { DEFAULTS } else { CONFIGURED },
            input: &configuration,
            address_in: Box::new(printed_address),
        };
        let (process, address) = Process::start(plan, cores)?;
        let probe = Some(Probe::of_process(process.id()));
        let Some(certificate) = certificate else {
            let endpoint = Endpoint::plain(address);
            return Ok(Server { endpoint, probe, _owned: Owned::Process(process) });
        };
        let endpoint = Endpoint { address, tls: Some(certificate.client()?) };
        Ok(Server { endpoint, probe, _owned: Owned::Configured(process, certificate.into_directory()) })
    }

    fn subscriber(&self, host: &str, patterns: &[String]) -> Result<Opening, BenchError> {
        self.opening(host, patterns, None)
    }

    fn replay(&self, host: &str, topic: &str) -> Result<Opening, BenchError> {
        self.opening(host, &[topic.to_owned()], Some(Since::Earliest))
    }

    fn publisher(&self, host: &str, _alone_in: Option<&str>) -> Result<Opening, BenchError> {
        Ok(self.session(host))
    }

    fn churn(&self, topic: &str) -> Result<(Template, u64), BenchError> {
        let pattern = topic.parse().map_err(|error| BenchError::Plan(format!("'{topic}': {error}")))?;
        let leave = ClientFrame { id: Some(2), request: Request::Unsubscribe { pattern } };
        let mut round = self.framed(&subscribe(topic, None)?);
        round.extend(self.framed(&leave));
        // Of the two answers the decoder counts the one that ends the round.
        Ok((Template::unstamped(round), 1))
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
        _ => {
            json::encode_client(frame, &mut message);
            (TEXT, message)
        }
    }
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
