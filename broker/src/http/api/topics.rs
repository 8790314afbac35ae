//! The topics of the broker: a page of them, searched and sorted, or one in detail.

use axum::extract::State;
use axum::response::Response;
use fanwire_core::rate::Rate;
use fanwire_core::rules::SlowPolicy;
use http::Uri;
use serde::Serialize;

use super::TopicName;
use super::query::Parameters;
use crate::engine::{TopicDetails, TopicOrder, TopicQuery, TopicRow};
use crate::http::HttpState;
use crate::http::body::{fitting, json_response};
use crate::problem::Problem;

/// One topic in a list.
#[derive(Serialize)]
struct Row<'a> {
    topic: &'a str,
    subscribers: u64,
    messages: u64,
    bytes: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    ts: Option<u64>,
    members: u64,
    durable: bool,
}

/// A page of topics.
#[derive(Serialize)]
struct Page<'a> {
    topics: Vec<Row<'a>>,
    total: usize,
    matching: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

/// One topic of the list.
#[derive(Serialize)]
struct Details<'a> {
    topic: &'a str,
    exists: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    rule: Option<String>,
    durable: bool,
    presence: bool,
    slow: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    rate: Option<RateLimit>,
    #[serde(skip_serializing_if = "Option::is_none")]
    history: Option<Kept>,
    #[serde(skip_serializing_if = "Option::is_none")]
    epoch: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    offset: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ts: Option<u64>,
    messages: usize,
    bytes: usize,
    subscribers: u64,
    pattern_subscribers: u64,
    members: usize,
}

#[derive(Serialize)]
struct RateLimit {
    per_second: u32,
    burst: u32,
}

/// The bounds of a topic's history. A bound that is left out does not exist.
#[derive(Serialize)]
struct Kept {
    #[serde(skip_serializing_if = "Option::is_none")]
    messages: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ttl_ms: Option<u64>,
}

/// The largest `ttl` that is shown: a rule without `ttl` has a larger one.
const TTL_MS_MAX: u64 = 1_000 * 366 * 24 * 60 * 60 * 1_000;

/// `GET /api/v1/topics`: a page of topics.
pub(super) async fn list(State(state): State<HttpState>, uri: Uri) -> Result<Response, Problem> {
    let known = ["search", "prefix", "sort", "order", "after", "limit"];
    let query = read_query(&Parameters::parse(&uri, &known)?)?;
    let order = query.order;
    let page = state.catalog.list(query).await?;
    let mut topics: Vec<Row<'_>> = page.rows.iter().map(row).collect();
    topics.truncate(fitting(&topics));
    let has_more = page.more || topics.len() < page.rows.len();
    let last = topics.len().checked_sub(1).and_then(|last| page.rows.get(last));
    let next = last.filter(|_| has_more).map(|last| cursor_of(order, last));
    Ok(json_response(&Page { topics, total: page.total, matching: page.matching, next }))
}

/// `GET /api/v1/topics/{topic}`: one topic, whether it exists or not.
pub(super) async fn one(
    State(state): State<HttpState>,
    TopicName(topic): TopicName,
) -> Result<Response, Problem> {
    let TopicDetails { rule, policy, state } = state.catalog.describe(&topic).await?;
    let history = policy.history;
    let bounded = |bound: usize| (bound != usize::MAX).then_some(bound);
    let kept = history.keeps().then(|| Kept {
        messages: bounded(history.messages),
        bytes: bounded(history.bytes),
        ttl_ms: (history.ttl_ms < TTL_MS_MAX).then_some(history.ttl_ms),
    });
    let activity = state.as_ref();
    Ok(json_response(&Details {
        topic: topic.as_str(),
        exists: activity.is_some(),
        rule,
        durable: policy.durable,
        presence: policy.presence,
        slow: match policy.slow {
            SlowPolicy::Disconnect => "disconnect",
            SlowPolicy::Skip => "skip",
            SlowPolicy::Latest => "latest",
        },
        rate: policy.rate.map(|Rate { per_second, burst }| RateLimit { per_second, burst }),
        history: kept,
        epoch: activity.map(|activity| activity.head.epoch.to_string()),
        offset: activity.map(|activity| activity.head.offset),
        ts: activity.and_then(|activity| activity.newest_ts),
        messages: activity.map_or(0, |activity| activity.messages),
        bytes: activity.map_or(0, |activity| activity.bytes),
        subscribers: activity.map_or(0, |activity| activity.subscribers),
        pattern_subscribers: activity.map_or(0, |activity| activity.pattern_subscribers),
        members: activity.map_or(0, |activity| activity.members),
    }))
}

fn row(row: &TopicRow) -> Row<'_> {
    Row {
        topic: row.name.as_str(),
        subscribers: row.subscribers,
        messages: row.messages,
        bytes: row.bytes,
        ts: row.newest_ts,
        members: row.members,
        durable: row.durable,
    }
}

/// Returns the `after` of the page that follows this topic.
fn cursor_of(order: TopicOrder, last: &TopicRow) -> String {
    format!("{}:{}", order.value_of(last), last.name.as_str())
}

fn read_query(parameters: &Parameters) -> Result<TopicQuery, Problem> {
    let order = |text: &str| match text {
        "name" => Some(TopicOrder::Name),
        "subscribers" => Some(TopicOrder::Subscribers),
        "messages" => Some(TopicOrder::Messages),
        "bytes" => Some(TopicOrder::Bytes),
        "newest" => Some(TopicOrder::Newest),
        _ => None,
    };
    let direction = |text: &str| match text {
        "asc" => Some(false),
        "desc" => Some(true),
        _ => None,
    };
    let cursor = |text: &str| {
        let (value, name) = text.split_once(':')?;
        Some((value.parse().ok()?, name.to_owned()))
    };
    let text = |name: &str| parameters.text(name).unwrap_or("").to_owned();
    Ok(TopicQuery {
        search: text("search"),
        prefix: text("prefix"),
        order: parameters
            .read("sort", "name, subscribers, messages, bytes or newest", order)?
            .unwrap_or(TopicOrder::Name),
        is_descending: parameters.read("order", "asc or desc", direction)?.unwrap_or(false),
        after: parameters.read("after", "the 'next' of the page before", cursor)?,
        limit: parameters.limit()?,
    })
}
