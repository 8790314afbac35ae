//! Transports: how clients are connected. Each turns bytes into frames and publications into bytes.
//!
//! `websocket` serves `/ws` and the bare WebSocket of a topic's URL, `events` Server-Sent Events, `polling` history and long
//! polling. The session behind each decides what a client may do and receives.

mod answer;
mod body;
mod events;
mod long_message;
mod merged_history;
mod polling;
mod pusher;
mod query;
mod request;
mod websocket;
mod write_watch;

use std::rc::Rc;
use std::sync::Arc;

use fanwire_core::identity::Identity;
use fanwire_protocol::{CloseCode, ErrorCode, Pattern};
use http::{Method, Request, Response, StatusCode, header};

pub(crate) use body::ResponseBody;
pub(crate) use request::TransportRequest;

use crate::auth::Admission;
use crate::config::Callout;
use crate::engine::Role;
use crate::hooks::{CalloutClient, DisconnectReport};
use crate::problem::{Problem, ProblemCode, quoted};
use crate::pusher::SharedPusherApps;
use crate::sessions::Worker;
use crate::telemetry::Transport;
use crate::topic_path;
use query::Query;
use request::{wants_events, wants_websocket};
use websocket::dialect::{Bare, DIALECTS, Subprotocol};

/// The transports of one worker.
pub(crate) struct Transports {
    worker: Rc<Worker>,
    upgrades: websocket::Upgrades,
    pusher_apps: Arc<SharedPusherApps>,
}

/// The transport that a request asks for.
enum Wanted {
    /// The protocol over a WebSocket.
    Protocol,
    /// A topic's bare WebSocket.
    Bare(Pattern),
    /// An event stream (Server-Sent Events).
    Events(Vec<Pattern>),
    /// History, or the next publications.
    Poll(Vec<Pattern>),
}

impl Wanted {
    fn transport(&self) -> Transport {
        match self {
            Wanted::Protocol => Transport::WebSocket,
            Wanted::Bare(_) => Transport::Bare,
            Wanted::Events(_) => Transport::Sse,
            Wanted::Poll(_) => Transport::Poll,
        }
    }
}

impl Transports {
    /// The transports of this worker.
    pub(crate) fn new(worker: Rc<Worker>, pusher_apps: Arc<SharedPusherApps>) -> Self {
        Self { pusher_apps, ..Self::with_dialects(worker, &DIALECTS) }
    }

    /// The transports of this worker with these dialects at `/ws`.
    fn with_dialects(worker: Rc<Worker>, dialects: &'static [Subprotocol]) -> Self {
        let upgrades = websocket::Upgrades::new(worker.clone(), dialects);
        Self { worker, upgrades, pusher_apps: Arc::default() }
    }

    /// Returns whether a request is for a transport rather than for the rest of the HTTP interface.
    pub(crate) fn serves<B>(request: &Request<B>) -> bool {
        let path = request.uri().path();
        let is_reading = matches!(*request.method(), Method::GET | Method::HEAD);
        let is_topic = path.starts_with(topic_path::PREFIX) && topic_path::of_presence(path).is_none();
        let is_pusher = path.starts_with(pusher::PREFIX) && *request.method() == Method::GET;
        path == "/ws" || is_pusher || (is_reading && (path == "/stream" || is_topic))
    }

    /// Serves one request.
    ///
    /// # Errors
    /// If it is refused, with the answer that says why.
    pub(crate) async fn serve(&self, asked: TransportRequest) -> Result<Response<ResponseBody>, Problem> {
        let is_stream = is_event_stream(&asked.request);
        self.serve_wanted(asked).await.or_else(|problem| refuse(is_stream, problem))
    }

    /// Answers a request that the broker refuses before a transport sees it.
    ///
    /// # Errors
    /// Unless the request is for an event stream and the reason is a passing one.
    pub(crate) fn refuse<B>(
        request: &Request<B>,
        problem: Problem,
    ) -> Result<Response<ResponseBody>, Problem> {
        refuse(is_event_stream(request), problem)
    }

    async fn serve_wanted(&self, mut asked: TransportRequest) -> Result<Response<ResponseBody>, Problem> {
        if asked.request.uri().path().starts_with(pusher::PREFIX) {
            return self.serve_pusher(asked).await;
        }
        let query = self.query(&asked.request)?;
        let wanted = self.wanted(&asked.request, &query)?;
        if query.reverse && !matches!(wanted, Wanted::Poll(_)) {
            return Err(Problem::bad_request("reverse: only history is read backwards, by a plain GET"));
        }
        let transport = wanted.transport();
        let role = role_of(&query, &asked.admission)?;
        asked.admission =
            self.welcome(asked.admission, asked.connection_info.connection, transport.label()).await;
        if asked.request.method() == Method::HEAD && !matches!(wanted, Wanted::Protocol) {
            return self.serve_head(asked, wanted, &query).await;
        }
        if role == Role::Subscriber {
            asked.disconnect_report = self.disconnect_report(&asked, transport);
        }
        match wanted {
            Wanted::Protocol => self.upgrades.upgrade(asked, None, role).await,
            Wanted::Bare(pattern) => {
                let start = query.start();
                let bare = Bare { pattern, has_echo: query.echo, start };
                self.upgrades.upgrade(asked, Some(Box::new(bare)), role).await
            }
            Wanted::Events(patterns) => {
                events::stream(&self.worker, asked.known(transport, role)?, patterns, &query).await
            }
            Wanted::Poll(patterns) => {
                polling::poll(&self.worker, asked.known(transport, role)?, patterns, &query).await
            }
        }
    }

    /// Opens a connection of the Pusher protocol. Its client has shown the key of an app instead of credentials.
    async fn serve_pusher(&self, mut asked: TransportRequest) -> Result<Response<ResponseBody>, Problem> {
        let apps = self.pusher_apps.current();
        let uri = asked.request.uri();
        if apps.is_empty() {
            let detail = format!(
                "there is nothing at {}: this broker has no Pusher app, which [[pusher.app]] in its configuration would add",
                quoted(uri.path())
            );
            return Err(Problem::new(StatusCode::NOT_FOUND, ProblemCode::NotFound, detail));
        }
        let key = uri.path().strip_prefix(pusher::PREFIX).unwrap_or_default();
        let (dialect, identity) = pusher::open(&self.worker, &apps, key, uri.query().unwrap_or(""));
        asked.admission = Admission::Admitted(identity);
        asked.disconnect_report = self.disconnect_report(&asked, Transport::Pusher);
        self.upgrades.upgrade(asked, Some(dialect), Role::Subscriber).await
    }

    /// Answers like GET without a body. Nothing is waited for, and there is no session.
    async fn serve_head(
        &self,
        asked: TransportRequest,
        wanted: Wanted,
        query: &Query,
    ) -> Result<Response<ResponseBody>, Problem> {
        let (is_events, patterns) = match wanted {
            Wanted::Events(patterns) => (true, patterns),
            Wanted::Poll(patterns) => (false, patterns),
            Wanted::Bare(pattern) => (false, vec![pattern]),
            Wanted::Protocol => (false, Vec::new()),
        };
        let asked = asked.known(Transport::Http, Role::Observer)?;
        if is_events {
            polling::check_access(&self.worker, &asked.session, &patterns).await?;
            return Ok(events::response(ResponseBody::empty()));
        }
        let query = query.without_wait();
        let (mut parts, body) = polling::poll(&self.worker, asked, patterns, &query).await?.into_parts();
        if let Some(length) = body.known_length() {
            parts.headers.insert(header::CONTENT_LENGTH, length.into());
        }
        Ok(Response::from_parts(parts, ResponseBody::empty()))
    }

    /// Returns the report that the application receives when the connection is over. A refused connection has none.
    fn disconnect_report(
        &self,
        asked: &TransportRequest,
        transport: Transport,
    ) -> Option<Box<DisconnectReport>> {
        let identity = match &asked.admission {
            Admission::Open => Some(Identity::Anonymous),
            Admission::Admitted(identity) => Some(identity.clone()),
            Admission::Missing => None,
            Admission::Refused(_) => return None,
        };
        let mut disconnect_report = self.worker.hooks.disconnect_report(
            identity,
            asked.connection_info.connection,
            transport.label(),
        )?;
        if transport == Transport::Poll {
            disconnect_report.set_default_close(CloseCode::Normal.number(), "the poll is over");
        }
        Some(disconnect_report)
    }

    /// Makes the `connect` callout: whether an admitted client may connect, and under which identity.
    async fn welcome(&self, admission: Admission, connection: u64, transport: &'static str) -> Admission {
        let hooks = &self.worker.hooks;
        let identity = match admission {
            Admission::Open if hooks.makes(Callout::Connect) => Identity::Anonymous,
            Admission::Admitted(identity) => identity,
            other => return other,
        };
        let client = CalloutClient { identity, connection: Some(connection) };
        match hooks.connect(client, transport).await {
            Ok(identity) => Admission::Admitted(identity),
            Err(refusal) => Admission::Refused(refusal),
        }
    }

    /// Reads the query. At `/ws` it has `token` and `observe`, and others may put into it what they like.
    fn query(&self, request: &Request<()>) -> Result<Query, Problem> {
        if request.uri().path() == "/ws" {
            return Query::of_protocol(request.uri().query().unwrap_or(""));
        }
        Query::parse(request.uri().query().unwrap_or(""), self.worker.limits.history_limit_max)
    }

    fn wanted(&self, request: &Request<()>, query: &Query) -> Result<Wanted, Problem> {
        let path = request.uri().path();
        if path == "/ws" {
            return Ok(Wanted::Protocol);
        }
        if let Some(name) = path.strip_prefix("/topics/") {
            let pattern = topic_path::parse_pattern(name)?;
            if wants_websocket(request.headers()) {
                return Ok(Wanted::Bare(pattern));
            }
            return Ok(if wants_events(request.headers()) {
                Wanted::Events(vec![pattern])
            } else {
                Wanted::Poll(vec![pattern])
            });
        }
        let patterns = self.stream_patterns(query)?;
        Ok(if wants_events(request.headers()) { Wanted::Events(patterns) } else { Wanted::Poll(patterns) })
    }

    fn stream_patterns(&self, query: &Query) -> Result<Vec<Pattern>, Problem> {
        let topics_max = self.worker.limits.stream_topics_max;
        if query.topics.is_empty() {
            return Err(Problem::bad_request("name at least one topic, as in /stream?topic=a&topic=b"));
        }
        if query.topics.len() > topics_max {
            return Err(Problem::limit_exceeded(format!(
                "a stream may have {topics_max} topics and this one names {}: use a pattern, or /ws",
                query.topics.len()
            )));
        }
        let mut patterns = Vec::new();
        for name in &query.topics {
            let pattern = Pattern::new(name).map_err(|error| Problem::bad_topic(name, error))?;
            if !patterns.contains(&pattern) {
                patterns.push(pattern);
            }
        }
        Ok(patterns)
    }
}

/// Returns whether a request is for an event stream.
fn is_event_stream<B>(request: &Request<B>) -> bool {
    let is_upgrade = request.uri().path() == "/ws" || wants_websocket(request.headers());
    request.method() == Method::GET && !is_upgrade && wants_events(request.headers())
}

fn refuse(is_stream: bool, problem: Problem) -> Result<Response<ResponseBody>, Problem> {
    if is_stream && problem.is_passing() { Ok(events::refused(&problem)) } else { Err(problem) }
}

/// Returns the role that the query asks for.
///
/// # Errors
/// If it asks to observe, and the credentials are not those of an administrator. An open broker has no administrator: there every
/// client may observe.
fn role_of(query: &Query, admission: &Admission) -> Result<Role, Problem> {
    match admission {
        _ if !query.observe => Ok(Role::Subscriber),
        Admission::Open => Ok(Role::Observer),
        Admission::Admitted(identity) if identity.is_admin() => Ok(Role::Observer),
        _ => {
            let detail = "only an administrator observes topics without being a subscriber: show a key with admin = true \
                          in the request, or leave out 'observe'";
            Err(Problem::new(StatusCode::FORBIDDEN, ErrorCode::Forbidden, detail))
        }
    }
}

#[cfg(test)]
mod tests {
    mod toy_dialect;
}
