//! The sessions of the broker: a page of them, or one with its subscriptions.

use std::rc::Rc;

use axum::extract::State;
use axum::response::Response;
use fanwire_protocol::Topic;
use http::Uri;
use serde::Serialize;

use super::SessionName;
use super::query::Parameters;
use crate::http::HttpState;
use crate::http::body::{fitting, json_response};
use crate::problem::Problem;
use crate::sessions::{SessionHandle, Worker};
use crate::telemetry::Transport;

/// The maximum number of sessions, and of subscriptions where they are compared, that one request examines on one worker, so that a
/// search does not hold up the worker. A page that ends for this reason has fewer entries, and a `next`.
const LOOKED_AT_MAX: usize = 20_000;

/// The number of sessions that are taken from the session registry at once.
const LOOKED_AT_ONCE: usize = 1024;

/// The maximum number of subscriptions of one session in a response.
const TOPICS_MAX: usize = 1000;

/// One session in a list.
#[derive(Serialize)]
struct Summary {
    connection: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    transport: &'static str,
    address: String,
    /// The time of its start, in milliseconds since 1970.
    opened: u64,
    subscriptions: usize,
    outbox_bytes: usize,
    outbox_bytes_max: usize,
    /// Whether at least half of its outbox is full.
    slow: bool,
    #[serde(skip)]
    number: u64,
}

impl Summary {
    fn of(session: &SessionHandle, outbox_bytes_max: usize) -> Self {
        Self {
            connection: format!("{:x}", session.connection()),
            user: session.user().map(|user| user.to_string()),
            name: session.name(),
            transport: session.transport().label(),
            address: session.client().to_string(),
            opened: session.opened_ms(),
            subscriptions: session.subscription_count(),
            outbox_bytes: session.writer().waiting_bytes(),
            outbox_bytes_max,
            slow: is_slow(session, outbox_bytes_max),
            number: session.connection(),
        }
    }
}

fn is_slow(session: &SessionHandle, outbox_bytes_max: usize) -> bool {
    session.writer().waiting_bytes() >= outbox_bytes_max / 2
}

/// A page of sessions.
#[derive(Serialize)]
struct Page {
    sessions: Vec<Summary>,
    /// The number of all sessions.
    total: usize,
    /// The `after` of the next page.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

/// One session with its subscriptions.
#[derive(Serialize)]
struct Details {
    #[serde(flatten)]
    summary: Summary,
    topics: Vec<String>,
}

/// The sessions that a request selects.
#[derive(Clone)]
struct Filter {
    user: Option<String>,
    transport: Option<Transport>,
    topic: Option<Topic>,
    is_slow: bool,
    after: Option<u64>,
    limit: usize,
}

/// The sessions that one worker has found.
struct Found {
    sessions: Vec<Summary>,
    total: usize,
    /// The last session that was examined, if there are more.
    stopped_at: Option<u64>,
}

/// `GET /api/v1/sessions`: a page of sessions in the order in which each worker got them.
pub(super) async fn list(State(state): State<HttpState>, uri: Uri) -> Result<Response, Problem> {
    let known = ["user", "transport", "topic", "slow", "after", "limit"];
    let filter = read_query(&Parameters::parse(&uri, &known)?)?;
    let limit = filter.limit;
    let found = state.mailboxes.run_on_all(move |worker| filter.find(worker)).await?;
    Ok(json_response(&Page::of(found, limit)))
}

/// `GET /api/v1/sessions/{connection}`: one session.
pub(super) async fn one(State(state): State<HttpState>, name: SessionName) -> Result<Response, Problem> {
    let connection = name.0;
    let details = state
        .mailboxes
        .run_on_owner(connection, move |worker| {
            let session = worker.registry.session(connection)?;
            let mut topics: Vec<String> = session.subscriptions().iter().map(ToString::to_string).collect();
            topics.sort_unstable();
            topics.truncate(TOPICS_MAX);
            topics.truncate(fitting(&topics));
            Some(Details { summary: Summary::of(&session, worker.limits.outbox_bytes_max), topics })
        })
        .await?;
    details.map(|details| json_response(&details)).ok_or_else(|| name.is_unknown())
}

impl Filter {
    /// Returns the sessions of this worker that match, among as many as one request may examine.
    fn find(&self, worker: &Rc<Worker>) -> Found {
        let outbox_bytes_max = worker.limits.outbox_bytes_max;
        let mut found = Found { sessions: Vec::new(), total: worker.registry.len(), stopped_at: None };
        let mut budget = LOOKED_AT_MAX;
        let mut after = self.after;
        loop {
            let sessions = self.candidates(worker, after);
            let is_last = sessions.len() < LOOKED_AT_ONCE || self.user.is_some();
            for session in &sessions {
                if budget == 0 || found.sessions.len() > self.limit {
                    found.stopped_at = after;
                    return found;
                }
                let effort = if self.topic.is_some() { 1 + session.subscription_count() } else { 1 };
                budget = budget.saturating_sub(effort);
                after = Some(session.connection());
                if self.matches(session, outbox_bytes_max) {
                    found.sessions.push(Summary::of(session, outbox_bytes_max));
                }
            }
            if is_last {
                return found;
            }
        }
    }

    fn candidates(&self, worker: &Worker, after: Option<u64>) -> Vec<Rc<SessionHandle>> {
        let Some(user) = &self.user else { return worker.registry.page(after, LOOKED_AT_ONCE) };
        let mut sessions = worker.registry.sessions_of(user);
        sessions.retain(|session| after.is_none_or(|after| session.connection() > after));
        sessions
    }

    fn matches(&self, session: &SessionHandle, outbox_bytes_max: usize) -> bool {
        self.transport.is_none_or(|transport| session.transport() == transport)
            && self.topic.as_ref().is_none_or(|topic| session.listens_to(topic))
            && (!self.is_slow || is_slow(session, outbox_bytes_max))
    }
}

impl Page {
    /// Returns the first `limit` of the sessions that all workers have found, as far as they fit into one response. Sessions
    /// beyond the one at which the first worker stopped are left to the next page, because other workers have not examined
    /// them.
    fn of(found: Vec<Found>, limit: usize) -> Self {
        let total = found.iter().map(|found| found.total).sum();
        let known_to = found.iter().filter_map(|found| found.stopped_at).min();
        let mut sessions: Vec<Summary> = found.into_iter().flat_map(|found| found.sessions).collect();
        sessions.retain(|session| known_to.is_none_or(|known_to| session.number <= known_to));
        sessions.sort_unstable_by_key(|session| session.number);
        let count = sessions.len();
        sessions.truncate(limit);
        sessions.truncate(fitting(&sessions));
        let has_more = sessions.len() < count;
        let last = if has_more { sessions.last().map(|session| session.number) } else { known_to };
        Self { sessions, total, next: last.map(|number| format!("{number:x}")) }
    }
}

fn read_query(parameters: &Parameters) -> Result<Filter, Problem> {
    let transport = |text: &str| Transport::ALL.into_iter().find(|transport| transport.label() == text);
    let number = |text: &str| u64::from_str_radix(text, 16).ok();
    let topic = |text: &str| Topic::new(text).ok();
    Ok(Filter {
        user: parameters.text("user").map(str::to_owned),
        transport: parameters.read("transport", "ws, bare, sse or poll", transport)?,
        topic: parameters.read("topic", "a topic without wildcards", topic)?,
        is_slow: parameters.read("slow", "true or false", |text| text.parse().ok())?.unwrap_or(false),
        after: parameters.read("after", "the 'next' of the page before", number)?,
        limit: parameters.limit()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(numbers: &[u64], stopped_at: Option<u64>) -> Found {
        let summary = |number: &u64| Summary {
            connection: format!("{number:x}"),
            user: None,
            name: None,
            transport: "ws",
            address: String::new(),
            opened: 0,
            subscriptions: 0,
            outbox_bytes: 0,
            outbox_bytes_max: 0,
            slow: false,
            number: *number,
        };
        Found { sessions: numbers.iter().map(summary).collect(), total: 9, stopped_at }
    }

    #[test]
    fn pages_neither_repeat_nor_leave_out_what_a_worker_has_not_looked_at() {
        let check = |all: Vec<Found>, limit, expected: &[u64], next: Option<&str>| {
            let page = Page::of(all, limit);
            let numbers: Vec<u64> = page.sessions.iter().map(|session| session.number).collect();
            assert_eq!((numbers.as_slice(), page.next.as_deref(), page.total), (expected, next, 18));
        };
        check(vec![found(&[2, 4], None), found(&[3, 5], None)], 9, &[2, 3, 4, 5], None);
        check(vec![found(&[2, 4], None), found(&[3, 5], None)], 3, &[2, 3, 4], Some("4"));
        check(vec![found(&[2, 40], None), found(&[3], Some(17))], 9, &[2, 3], Some("11"));
        check(vec![found(&[], Some(40)), found(&[], Some(31))], 9, &[], Some("1f"));
    }
}
