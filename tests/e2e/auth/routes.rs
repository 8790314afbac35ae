//! Every way in and out that has to do with topics, and how a client attempts an action over it.
//!
//! Complete by construction: the compiler wants an arm for each way and each frame of the protocol, and a test holds the URLs and
//! transports against the broker's source.

use std::net::SocketAddr;

use fanwire_protocol::Request;
use fanwire_tests::{Events, Http, Response, WebSocket, get};
use serde_json::{Value, json};

/// What the client attempts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Action {
    Publish,
    Subscribe,
    /// Subscribe and be given what was published before.
    Replay,
    History,
    Presence,
}

/// The way by which it is tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// Frames of the protocol, over `/ws`.
    Frames,
    /// The bare WebSocket of a topic.
    Bare,
    /// Server-Sent Events of a topic.
    Events,
    /// History and long polling of a topic.
    Poll,
    /// Server-Sent Events of `/stream`.
    StreamEvents,
    /// Long polling of `/stream`.
    StreamPoll,
    /// An HTTP publish: `POST /topics/{topic}`.
    Post,
    /// An HTTP batch: `POST /publish`.
    Batch,
    /// Presence over HTTP: `GET /topics/{topic}/presence`.
    PresenceUrl,
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Outcome {
    Allowed,
    /// Refused, with this code, or for a bare WebSocket the code of the close.
    Refused(String),
}

/// All ways, each with the URL and the transport it uses in the broker's source. A way in [`Way`] that is missing here is never
/// made, which the compiler warns of.
pub(super) const WAYS: [(Way, &str, &str); 9] = [
    (Way::Frames, "/ws", "Protocol"),
    (Way::Bare, "/topics/{*topic}", "Bare"),
    (Way::Events, "/topics/{*topic}", "Events"),
    (Way::Poll, "/topics/{*topic}", "Poll"),
    (Way::StreamEvents, "/stream", "Events"),
    (Way::StreamPoll, "/stream", "Poll"),
    (Way::Post, "/topics/{*topic}", ""),
    (Way::Batch, "/publish", ""),
    (Way::PresenceUrl, "/topics/{*topic}", ""),
];

/// URLs that have nothing to do with topics, and that other tests look after.
pub(super) const OTHER_URLS: [&str; 25] = [
    "/request/{method}",
    "/healthz",
    "/readyz",
    "/metrics",
    "/",
    "/examples/chat.html",
    "/examples/chat-sse.html",
    "/examples/room.html",
    "/examples/notifications.html",
    "/examples/chart.html",
    "/examples/board.html",
    "/openapi.json",
    "/favicon.svg",
    "/fanwire.js",
    "/fanwire.mjs",
    "/fanwire-http.mjs",
    "/fanwire-msgpack.js",
    "/fanwire-msgpack.mjs",
    "/fanwire-tabs.js",
    "/fanwire-tabs.mjs",
    "/console",
    "/console/",
    "/console/console.js",
    "/console/console.css",
    "/console/licences.txt",
];

impl Way {
    /// What can be tried this way.
    pub(super) fn actions(self) -> &'static [Action] {
        match self {
            Way::Frames => {
                &[Action::Publish, Action::Subscribe, Action::Replay, Action::History, Action::Presence]
            }
            Way::Bare => &[Action::Publish, Action::Subscribe, Action::Replay],
            Way::Events | Way::StreamEvents => &[Action::Subscribe, Action::Replay],
            Way::Poll | Way::StreamPoll => &[Action::Subscribe, Action::Replay, Action::History],
            Way::Post | Way::Batch => &[Action::Publish],
            Way::PresenceUrl => &[Action::Presence],
        }
    }

    /// Tries it, with a token if there is one.
    pub(super) fn attempt(
        self,
        action: Action,
        address: SocketAddr,
        token: Option<&str>,
        asked: &str,
    ) -> Outcome {
        let topic = asked.replace('>', "%3E");
        let mut query = token.map_or(String::from("?"), |token| format!("?token={token}&"));
        match action {
            Action::Replay => query.push_str("since=earliest&"),
            Action::Subscribe if matches!(self, Way::Poll | Way::StreamPoll) => query.push_str("wait=0.001&"),
            _ => {}
        }
        match self {
            Way::Frames => by_frame(address, token, &frame_of(action, asked)),
            Way::Bare => by_bare_socket(action, address, &format!("/topics/{topic}{query}")),
            Way::Events => by_events(address, &format!("/topics/{topic}{query}")),
            Way::StreamEvents => {
                by_events(address, &format!("/stream{query}topic=public.else&topic={topic}"))
            }
            Way::Poll => outcome_of(&get(address, &format!("/topics/{topic}{query}"))),
            Way::StreamPoll => {
                outcome_of(&get(address, &format!("/stream{query}topic=public.else&topic={topic}")))
            }
            Way::Post => outcome_of(&post(address, &format!("/topics/{topic}"), token, "text/plain", "x")),
            Way::PresenceUrl => {
                let answer = get(address, &format!("/topics/{topic}/presence{query}"));
                // That a topic keeps no presence is told only to those who might see it.
                if answer.status == 404 { Outcome::Allowed } else { outcome_of(&answer) }
            }
            Way::Batch => {
                let body = json!({"messages": [{"topic": asked, "data": "x"}]}).to_string();
                let answer = post(address, "/publish", token, "application/json", &body);
                if answer.status != 200 {
                    return outcome_of(&answer);
                }
                match answer.json()["results"][0]["error"]["code"].as_str() {
                    Some(code) => Outcome::Refused(code.to_owned()),
                    None => Outcome::Allowed,
                }
            }
        }
    }
}

/// The frame by which an action is asked for.
fn frame_of(action: Action, asked: &str) -> Value {
    match action {
        Action::Publish => json!({"type": "publish", "id": 9, "topic": asked, "data": "x"}),
        Action::Subscribe => json!({"type": "subscribe", "id": 9, "topic": asked}),
        Action::Replay => json!({"type": "subscribe", "id": 9, "topic": asked, "since": "earliest"}),
        Action::History => json!({"type": "history", "id": 9, "topic": asked}),
        Action::Presence => json!({"type": "presence", "id": 9, "topic": asked}),
    }
}

/// What each request of the protocol can do with topics. A new request does not compile without its arm here.
pub(super) fn actions_of(request: &Request) -> &'static [Action] {
    match request {
        Request::Subscribe { .. } => &[Action::Subscribe, Action::Replay],
        Request::Publish { .. } => &[Action::Publish],
        Request::History { .. } => &[Action::History],
        Request::Presence { .. } => &[Action::Presence],
        Request::Connect { .. }
        | Request::Unsubscribe { .. }
        | Request::Refresh { .. }
        | Request::Call { .. }
        | Request::Ping => &[],
    }
}

fn by_frame(address: SocketAddr, token: Option<&str>, request: &Value) -> Outcome {
    let mut socket = WebSocket::open(address, "/ws");
    if let Some(token) = token {
        let reply = socket.ask(&json!({"type": "connect", "id": 1, "token": token}));
        assert_eq!(reply["type"], "connected", "{reply}");
    }
    let reply = socket.ask(request);
    match reply["code"].as_str().filter(|_| reply["type"] == "error") {
        // That a topic keeps no presence is told only to those who might see it.
        Some("unavailable") if request["type"] == "presence" => Outcome::Allowed,
        Some(code) => Outcome::Refused(code.to_owned()),
        None => Outcome::Allowed,
    }
}

/// A bare WebSocket opens for every client; the close refuses a client without permission.
fn by_bare_socket(action: Action, address: SocketAddr, path: &str) -> Outcome {
    let mut socket = match WebSocket::try_open(address, path, "") {
        Ok(socket) => socket,
        Err(answer) => return outcome_of(&answer),
    };
    let text = format!("bare-{}", fastrand::u64(..));
    if action == Action::Publish {
        socket.send_text(&text);
    } else {
        socket.send_frame(true, fanwire_tests::Opcode::PING, text.as_bytes());
    }
    loop {
        let Some(frame) = socket.try_read() else { return Outcome::Refused("hung up".to_owned()) };
        if frame.opcode == fanwire_tests::Opcode::CLOSE {
            let code = frame.payload.first_chunk().map_or(0, |code| u16::from_be_bytes(*code));
            return Outcome::Refused(code.to_string());
        }
        // Its own publication, or the answer to the ping.
        if frame.payload == text.as_bytes() {
            return Outcome::Allowed;
        }
    }
}

fn by_events(address: SocketAddr, path: &str) -> Outcome {
    match Events::try_open(address, path, "") {
        Ok(_) => Outcome::Allowed,
        Err(head) if head.status == 401 => Outcome::Refused("unauthorized".to_owned()),
        Err(head) if head.status == 403 => Outcome::Refused("forbidden".to_owned()),
        Err(head) => Outcome::Refused(head.status.to_string()),
    }
}

fn outcome_of(answer: &Response) -> Outcome {
    match answer.status {
        200 => Outcome::Allowed,
        _ => Outcome::Refused(answer.json()["code"].as_str().unwrap_or("?").to_owned()),
    }
}

fn post(address: SocketAddr, path: &str, token: Option<&str>, content_type: &str, body: &str) -> Response {
    let authorization = token.map_or(String::new(), |token| format!("Authorization: Bearer {token}\r\n"));
    let mut http = Http::connect(address);
    http.send(
        format!(
            "POST {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: {content_type}\r\n\
             {authorization}Content-Length: {}\r\n\r\n{body}",
            body.len()
        )
        .as_bytes(),
    );
    http.read()
}
