//! A server that runs already and speaks version 7 of the Pusher protocol
//! (<https://pusher.com/docs/channels/library_auth_reference/pusher-websockets-protocol/>): soketi, sockudo and their like.
//!
//! Subscribers are WebSockets. They do not ping, so a run with nothing to say must not outlast the server's patience.
//!
//! Publications are requests of the HTTP API, signed one by one; the answer is the acknowledgement. Such servers do not take a
//! request before the one ahead of it is answered (soketi ends the connection), so a publisher has one on its way at most, whatever
//! the window. The connection is kept where the server keeps it: one that answers `Connection: close`, as sockudo does every time,
//! is connected to anew. Reverb ends the connection without a word, so nothing but its subscribers can be measured.

mod app;
mod signing;

pub use app::PusherApp;

use super::{Driver, Programs};
use crate::error::BenchError;
use crate::load::{Answer, Opening};
use crate::server::{Cores, Server};
use crate::wire::websocket::{TEXT, client_frame};
use crate::wire::{Decoder, Finish, Frames, HttpAnswers, Masked, Template, Vocabulary};
use signing::{Signer, unix_seconds};

/// Speaks the Pusher protocol with a running server.
#[derive(Debug)]
pub(crate) struct Pusher {
    app: PusherApp,
}

impl Pusher {
    /// A driver of clients of `app`.
    pub(crate) fn new(app: PusherApp) -> Self {
        Self { app }
    }
}

impl Driver for Pusher {
    fn start(&self, _programs: &Programs, _cores: Option<Cores>) -> Result<Server, BenchError> {
        Err(BenchError::LeftOut(
            "start a server of the Pusher protocol yourself, and give its --url, --pid and --pusher-app"
                .into(),
        ))
    }

    fn subscriber(&self, host: &str, patterns: &[String]) -> Result<Opening, BenchError> {
        if patterns.iter().any(|pattern| pattern.contains(['*', '>'])) {
            return Err(BenchError::LeftOut("the Pusher protocol has no subscriptions to patterns".into()));
        }
        let path = format!("/app/{}?protocol=7&client=fanwire-bench&version=1", self.app.key);
        let frames: Vec<u8> = patterns.iter().flat_map(|topic| subscribe(topic)).collect();
        Ok(Opening::new(Decoder::Frames(Frames::new(Vocabulary::Pusher)))
            .upgrade(host, &path, None)
            .then([], answers(b"pusher:connection_established", 1))
            .then(frames, answers(b"pusher_internal:subscription_succeeded", patterns.len())))
    }

    fn publisher(&self, _host: &str, _alone_in: Option<&str>) -> Result<Opening, BenchError> {
        Ok(Opening::new(Decoder::HttpAnswers(HttpAnswers::default())))
    }

    fn publication(&self, topic: &str, payload: &str) -> Template {
        let body = format!(r#"{{"name":"bench","channels":["{topic}"],"data":"{payload}"}}"#);
        let (request, signer) = Signer::prepare(&self.app, &body);
        Template::new(&request, (request.clone(), 0), Masked::No)
            .finished_by(Finish::new(move |request| signer.sign(request, unix_seconds())))
    }

    fn outstanding_max(&self) -> u64 {
        1
    }

    fn churn(&self, _topic: &str) -> Result<(Template, u64), BenchError> {
        Err(BenchError::LeftOut("a server of the Pusher protocol does not answer who unsubscribes".into()))
    }
}

fn subscribe(topic: &str) -> Vec<u8> {
    let message = format!(r#"{{"event":"pusher:subscribe","data":{{"channel":"{topic}"}}}}"#);
    client_frame(TEXT, message.as_bytes()).0
}

/// So many messages of an event; `pusher:error` and `pusher:subscription_error` say no.
fn answers(marker: &'static [u8], count: usize) -> Answer {
    Answer::Messages { marker, refusal: br#"error""#, count }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stamp::{Stamp, StampFinder};

    #[test]
    fn a_publication_is_signed_with_its_stamp_in_it() {
        let driver = Pusher::new(PusherApp::default());
        let stamp = Stamp { publisher: 1, sequence: 2, due_nanos: 3 };
        let mut sent = b"what went before".to_vec();
        let template = driver.publication("bench.000000", &Template::payload(32));
        template.write(stamp, &mut sent);
        let request = String::from_utf8(sent[16..].to_vec()).unwrap();
        let (head, body) = request.split_once("\r\n\r\n").unwrap();
        assert!(head.contains(&format!("Content-Length: {}", body.len())), "{head}");
        assert_eq!(StampFinder::default().find(body.as_bytes()), Some(stamp));
        let body: serde_json::Value = serde_json::from_str(body).unwrap();
        assert_eq!(body["channels"], serde_json::json!(["bench.000000"]));

        let mut other = Vec::new();
        template.write(Stamp { sequence: 3, ..stamp }, &mut other);
        let signature = |request: &str| request.split_once("auth_signature=").unwrap().1[..64].to_owned();
        assert_ne!(signature(&request), signature(&String::from_utf8(other).unwrap()));
    }
}
