//! nats-server over WebSocket (<https://docs.nats.io/reference/reference-protocols/nats-protocol>).
//!
//! A publisher that is alone in its topic is subscribed to it as well, and its own publication coming back is the
//! acknowledgement that lets the next one out; it is not counted as a delivery. Other publishers connect with `verbose`,
//! so that the server answers `+OK` to each `PUB`, the counterpart of fanwire's receipt. Each way is the one that is
//! kinder to the server: with many subscribers one more costs it less than the answers, but where every topic has a
//! single one, a second would double the work. Every publication is a WebSocket frame of its own, as it is with fanwire.

use std::net::SocketAddr;

use super::{Driver, Programs};
use crate::error::BenchError;
use crate::load::{Answer, Opening};
use crate::server::{Cores, Endpoint, Owned, Probe, Process, ProcessPlan, Server};
use crate::wire::websocket::{BINARY, client_frame};
use crate::wire::{Decoder, Masked, NatsStream, Template};

/// Everything else is the default. Port -1 is any free one.
const CONFIGURATION: &str =
    "listen: \"127.0.0.1:-1\"\nwebsocket { listen: \"127.0.0.1:-1\", no_tls: true }\n";

/// Starts nats-server and speaks its protocol.
#[derive(Debug)]
pub(crate) struct Nats;

impl Driver for Nats {
    fn start(&self, programs: &Programs, cores: Option<Cores>) -> Result<Server, BenchError> {
        let plan = ProcessPlan {
            program: &programs.nats,
            arguments: &["-c", "/dev/stdin"],
            input: CONFIGURATION,
            address_in: Box::new(printed_address),
        };
        let (process, address) = Process::start(plan, cores)?;
        let probe = Some(Probe::of_process(process.id()));
        Ok(Server { endpoint: Endpoint::plain(address), probe, _owned: Owned::Process(process) })
    }

    fn subscriber(&self, host: &str, patterns: &[String]) -> Result<Opening, BenchError> {
        let subscriptions: String = patterns
            .iter()
            .enumerate()
            .map(|(number, pattern)| format!("SUB {pattern} {number}\r\n"))
            .collect();
        Ok(opening(host, "false", &subscriptions))
    }

    fn publisher(&self, host: &str, alone_in: Option<&str>) -> Result<Opening, BenchError> {
        match alone_in {
            Some(topic) => self.subscriber(host, &[topic.to_owned()]),
            None => Ok(opening(host, "true", "")),
        }
    }

    fn publication(&self, topic: &str, payload: &str) -> Template {
        let message = format!("PUB {topic} {}\r\n{payload}\r\n", payload.len());
        Template::new(message.as_bytes(), client_frame(BINARY, message.as_bytes()), Masked::Yes)
    }

    fn churn(&self, topic: &str) -> Result<(Template, u64), BenchError> {
        let mut round = client_frame(BINARY, format!("SUB {topic} 1\r\n").as_bytes()).0;
        round.extend(client_frame(BINARY, b"UNSUB 1\r\n").0);
        Ok((Template::unstamped(round), 2))
    }
}

/// Connects, says `also`, and waits for the answer to a `PING`, so that all before it is done. The server may say more
/// after it, such as a `PING` of its own, which the load may leave unanswered once.
fn opening(host: &str, verbose: &str, also: &str) -> Opening {
    let connect = format!(
        "CONNECT {{\"verbose\":{verbose},\"pedantic\":false,\"lang\":\"rust\",\"version\":\"1\",\"protocol\":1}}\r\n"
    );
    let message = client_frame(BINARY, format!("{connect}{also}PING\r\n").as_bytes()).0;
    let pong = Answer::Messages { marker: b"PONG\r\n", refusal: b"-ERR", count: 1 };
    Opening::new(Decoder::Nats(NatsStream::default())).upgrade(host, "/", None).then(message, pong)
}

fn printed_address(line: &str) -> Option<SocketAddr> {
    line.split_once("Listening for websocket clients on ws://")?.1.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_websocket_address_is_found_and_the_other_is_not() {
        let line = "[1] 2026/01/01 00:00:00.0 [INF] Listening for websocket clients on ws://127.0.0.1:35399";
        assert_eq!(printed_address(line), Some("127.0.0.1:35399".parse().unwrap()));
        assert_eq!(printed_address("[INF] Listening for client connections on 127.0.0.1:43041"), None);
    }
}
