//! A Centrifugo that runs already, in its JSON protocol over WebSocket (<https://centrifugal.dev/docs/transports/client_protocol>).
//!
//! It must let every client connect, subscribe and publish, as it does with `client.insecure`.

use super::{Driver, Programs};
use crate::error::BenchError;
use crate::load::{Answer, Opening};
use crate::server::{Cores, Server};
use crate::wire::websocket::{TEXT, client_frame};
use crate::wire::{Decoder, Frames, Masked, Template, Vocabulary};

/// Starts Centrifugo and speaks its protocol.
#[derive(Debug)]
pub(crate) struct Centrifugo;

impl Driver for Centrifugo {
    fn start(&self, _programs: &Programs, _cores: Option<Cores>) -> Result<Server, BenchError> {
        Err(BenchError::LeftOut(
            "start Centrifugo yourself, with client.insecure, and give its --url and --pid".into(),
        ))
    }

    fn subscriber(&self, host: &str, patterns: &[String]) -> Result<Opening, BenchError> {
        match patterns {
            [topic] if !topic.contains(['*', '>']) => {
                let subscribe = format!(r#"{{"id":2,"subscribe":{{"channel":"{topic}"}}}}"#);
                Ok(session(host).then(framed(&subscribe), answer(br#""subscribe":"#)))
            }
            _ => Err(BenchError::LeftOut("Centrifugo has no subscriptions to patterns".into())),
        }
    }

    fn publisher(&self, host: &str, _alone_in: Option<&str>) -> Result<Opening, BenchError> {
        Ok(session(host))
    }

    fn publication(&self, topic: &str, payload: &str) -> Template {
        let message = format!(r#"{{"id":3,"publish":{{"channel":"{topic}","data":"{payload}"}}}}"#);
        Template::new(message.as_bytes(), client_frame(TEXT, message.as_bytes()), Masked::Yes)
    }
}

fn session(host: &str) -> Opening {
    Opening::new(Decoder::Frames(Frames::new(Vocabulary::Centrifugo)))
        .upgrade(host, "/connection/websocket", None)
        .then(framed(r#"{"id":1,"connect":{}}"#), answer(br#""connect":"#))
}

fn framed(message: &str) -> Vec<u8> {
    client_frame(TEXT, message.as_bytes()).0
}

fn answer(marker: &'static [u8]) -> Answer {
    Answer::Messages { marker, refusal: br#""error":"#, count: 1 }
}
