//! Who is connected: a page of sessions, or one of them with all it is subscribed to.

use axum::extract::State;
use axum::response::Response;
use http::Uri;
use serde::Serialize;

use super::SessionName;
use crate::http::HttpState;
use crate::http::body::json_response;
use crate::problem::Problem;
use crate::sessions::Profile;

/// How many sessions a page has if nothing else is asked for.
const LIMIT_DEFAULT: usize = 100;

/// How many it has at most.
const LIMIT_MAX: usize = 1000;

/// One session in a list.
#[derive(Serialize)]
struct Summary {
    connection: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    transport: &'static str,
    /// When it began, in milliseconds since 1970.
    opened: u64,
    subscriptions: usize,
    outbox_bytes: usize,
    #[serde(skip)]
    number: u64,
}

impl Summary {
    fn of(session: &Profile) -> Self {
        Self {
            connection: format!("{:x}", session.connection()),
            user: session.user().map(|user| user.to_string()),
            name: session.name(),
            transport: session.transport().label(),
            opened: session.opened_ms(),
            subscriptions: session.subscription_count(),
            outbox_bytes: session.outlet().waiting_bytes(),
            number: session.connection(),
        }
    }
}

/// A page of sessions.
#[derive(Serialize)]
struct Page {
    sessions: Vec<Summary>,
    /// How many there are in all.
    total: usize,
    /// Where the next page begins: what to ask for as `after`.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

/// One session with all it is subscribed to.
#[derive(Serialize)]
struct Details {
    #[serde(flatten)]
    summary: Summary,
    topics: Vec<String>,
}

/// `GET /api/v1/sessions`: a page of sessions in the order in which each worker got them.
pub(super) async fn list(State(state): State<HttpState>, uri: Uri) -> Result<Response, Problem> {
    let (after, limit) = read_query(uri.query().unwrap_or(""))?;
    let pages = state
        .calls
        .ask_all(move |worker| {
            let page = worker.roster.page(after, limit + 1);
            let sessions: Vec<Summary> = page.iter().map(|session| Summary::of(session)).collect();
            (sessions, worker.roster.len())
        })
        .await?;
    let total = pages.iter().map(|(_, len)| len).sum();
    let mut sessions: Vec<Summary> = pages.into_iter().flat_map(|(sessions, _)| sessions).collect();
    sessions.sort_unstable_by_key(|session| session.number);
    let has_more = sessions.len() > limit;
    sessions.truncate(limit);
    let next = sessions.last().filter(|_| has_more).map(|session| session.connection.clone());
    Ok(json_response(&Page { sessions, total, next }))
}

/// `GET /api/v1/sessions/{connection}`: one session.
pub(super) async fn one(State(state): State<HttpState>, name: SessionName) -> Result<Response, Problem> {
    let connection = name.0;
    let details = state
        .calls
        .ask_owner(connection, move |worker| {
            let session = worker.roster.session(connection)?;
            let mut topics: Vec<String> = session.subscriptions().iter().map(ToString::to_string).collect();
            topics.sort_unstable();
            Some(Details { summary: Summary::of(&session), topics })
        })
        .await?;
    details.map(|details| json_response(&details)).ok_or_else(|| name.is_unknown())
}

/// After which session a page begins, and how many it has.
fn read_query(query: &str) -> Result<(Option<u64>, usize), Problem> {
    let (mut after, mut limit) = (None, LIMIT_DEFAULT);
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        match &*name {
            "after" => {
                let number = u64::from_str_radix(&value, 16);
                let expected = "after: expected the 'next' of the page before";
                after = Some(number.map_err(|_| Problem::bad_request(expected))?);
            }
            "limit" => {
                let number = value.parse().ok().filter(|limit| (1..=LIMIT_MAX).contains(limit));
                let expected = || Problem::bad_request(format!("limit: expected 1 to {LIMIT_MAX}"));
                limit = number.ok_or_else(expected)?;
            }
            // Credentials may be here; what else there is means nothing.
            _ => {}
        }
    }
    Ok((after, limit))
}
