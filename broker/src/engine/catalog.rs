//! The catalog: all topics as operators see them, a page at a time.
//!
//! A catalog of a hundred thousand topics is made on a thread of its own, never on a worker's: the index is locked shard by shard
//! just long enough to list its topics, and each topic's lock is held for a few reads. One catalog serves all requests within
//! [`FRESH_US`], and one request is worked on at a time; the others wait for their turn. What a page costs does not depend
//! on how far into the catalog it is.

use std::cmp::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use fanwire_core::access::Refusal;
use fanwire_protocol::{ErrorCode, Topic};
use tokio::sync::Semaphore;

use super::archived::Archived;
use super::details::{self, TopicActivity, TopicDetails};
use super::memory::CatalogShare;
use super::topic::TopicState;
use super::topics::Topics;
use crate::clock;
use crate::owned_task;

/// The age at which a catalog is replaced, in microseconds.
const FRESH_US: u64 = 1_000_000;

/// The time for which a catalog without requests is kept, in microseconds.
const KEPT_US: u64 = 15_000_000;

/// The time for which a request waits for its turn.
const TURN_TIMEOUT: Duration = Duration::from_secs(5);

/// The topics as operators see them: the last list of them, and the queue of requests.
pub(crate) struct Catalog {
    topics: Arc<Topics>,
    archived: Option<Arc<Archived>>,
    last: Mutex<Option<Arc<Snapshot>>>,
    turns: Arc<Semaphore>,
}

/// All topics as they were at one time, in no order.
#[derive(Debug)]
struct Snapshot {
    rows: Vec<TopicRow>,
    made_us: u64,
    /// Counts the memory of the rows.
    _share: CatalogShare,
}

/// One topic in a list.
#[derive(Debug, Clone)]
pub(crate) struct TopicRow {
    /// The name of the topic.
    pub(crate) name: Topic,
    /// The number of subscriptions to it, by patterns too.
    pub(crate) subscribers: u64,
    /// The number of publications held in memory.
    pub(crate) messages: u64,
    /// The memory accounted for them.
    pub(crate) bytes: u64,
    /// The time at which the newest publication was accepted, in milliseconds since 1970.
    pub(crate) newest_ts: Option<u64>,
    /// The number of members.
    pub(crate) members: u64,
    /// Whether its rule says that it is durable.
    pub(crate) durable: bool,
}

/// The order of a list of topics. Topics that are equal in it are in the order of their names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TopicOrder {
    Name,
    Subscribers,
    Messages,
    Bytes,
    Newest,
}

/// A request for a page of topics.
#[derive(Debug, Clone)]
pub(crate) struct TopicQuery {
    /// Only topics whose name contains this, whatever the case of its ASCII letters; empty for all.
    pub(crate) search: String,
    /// Only topics whose name begins with this; empty for all.
    pub(crate) prefix: String,
    pub(crate) order: TopicOrder,
    /// Largest first, and names in reverse order.
    pub(crate) is_descending: bool,
    /// Only topics that come after this value of the order, and this name.
    pub(crate) after: Option<(u64, String)>,
    pub(crate) limit: usize,
}

/// A page of topics.
#[derive(Debug)]
pub(crate) struct TopicPage {
    pub(crate) rows: Vec<TopicRow>,
    /// The number of topics that exist.
    pub(crate) total: usize,
    /// The number of those whose name matches the request.
    pub(crate) matching: usize,
    /// Whether more topics follow this page.
    pub(crate) more: bool,
}

impl Catalog {
    /// A catalog of `topics`.
    pub(super) fn new(topics: Arc<Topics>, archived: Option<Arc<Archived>>) -> Self {
        Self { topics, archived, last: Mutex::default(), turns: Arc::new(Semaphore::new(1)) }
    }

    /// Describes a topic, whether it exists or not. Creates none.
    ///
    /// # Errors
    /// If the archive cannot be read.
    pub(crate) async fn describe(&self, topic: &Topic) -> Result<TopicDetails, Refusal> {
        details::describe(&self.topics, self.archived.as_deref(), topic).await
    }

    /// Returns a page of the topics that exist: those with subscribers or history, or used in the last minutes.
    ///
    /// # Errors
    /// If there are too many requests at once.
    pub(crate) async fn list(self: &Arc<Self>, query: TopicQuery) -> Result<TopicPage, Refusal> {
        let catalog = self.clone();
        self.in_turn(move || query.page(&catalog.snapshot().rows)).await
    }

    /// Returns the topics with subscribers of their own whose name begins with `prefix`, as they are now, with their state.
    ///
    /// # Errors
    /// If there are too many requests at once.
    pub(crate) async fn occupied(&self, prefix: String) -> Result<Vec<(Topic, TopicActivity)>, Refusal> {
        let topics = self.topics.clone();
        self.in_turn(move || {
            let mut states: Vec<Arc<TopicState>> = Vec::new();
            topics.for_each(|state| {
                if state.name().as_str().starts_with(&prefix) {
                    states.push(state.clone());
                }
            });
            let described = states.iter().filter_map(|state| {
                let activity = details::activity(&topics, state.name())?;
                (activity.subscribers > activity.pattern_subscribers)
                    .then(|| (state.name().clone(), activity))
            });
            described.collect()
        })
        .await
    }

    /// Runs `make` on a thread of its own, when no other list is being made.
    async fn in_turn<T: Send + 'static>(
        &self,
        make: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Refusal> {
        let refusal = || Refusal {
            code: ErrorCode::Unavailable,
            message: "there are too many requests for the list of topics: repeat in a moment".to_owned(),
        };
        let turns = self.turns.clone();
        let made = owned_task::run(async move {
            let turn = tokio::time::timeout(TURN_TIMEOUT, turns.acquire_owned()).await.ok()?;
            let make = move || {
                let _turn = turn;
                make()
            };
            Some(tokio::task::spawn_blocking(make).await)
        });
        let Some(made) = made.await.transpose() else { return Err(refusal()) };
        made.and_then(|made| made).map_err(|error| {
            tracing::error!(%error, "listing topics ended early");
            refusal()
        })
    }

    fn snapshot(&self) -> Arc<Snapshot> {
        let made_us = clock::monotonic_us();
        if let Some(last) = self.last().filter(|last| last.made_us + FRESH_US > made_us) {
            return last;
        }
        let topics = &self.topics;
        let mut states: Vec<Arc<TopicState>> = Vec::new();
        topics.for_each(|state| states.push(state.clone()));
        let rows: Vec<TopicRow> = states.iter().filter_map(|state| row_of(state, topics)).collect();
        let share = topics.memory().share_of_catalog(rows.capacity() * size_of::<TopicRow>());
        let snapshot = Arc::new(Snapshot { rows, made_us, _share: share });
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(snapshot.clone());
        snapshot
    }

    fn last(&self) -> Option<Arc<Snapshot>> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Drops a catalog without recent requests.
    pub(super) fn forget_stale(&self, now_us: u64) {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        last.take_if(|snapshot| snapshot.made_us + KEPT_US <= now_us);
    }
}

impl TopicOrder {
    /// Returns the value of a topic; 0 where only the name counts.
    pub(crate) fn value_of(self, row: &TopicRow) -> u64 {
        match self {
            TopicOrder::Name => 0,
            TopicOrder::Subscribers => row.subscribers,
            TopicOrder::Messages => row.messages,
            TopicOrder::Bytes => row.bytes,
            TopicOrder::Newest => row.newest_ts.unwrap_or(0),
        }
    }
}

impl TopicQuery {
    /// Compares a topic with a position in the list.
    fn compare(&self, row: &TopicRow, value: u64, name: &str) -> Ordering {
        let by_name = row.name.as_str().cmp(name);
        match (self.order, self.is_descending) {
            (TopicOrder::Name, false) => by_name,
            (TopicOrder::Name, true) => by_name.reverse(),
            (order, false) => order.value_of(row).cmp(&value).then(by_name),
            (order, true) => value.cmp(&order.value_of(row)).then(by_name),
        }
    }

    fn matches(&self, row: &TopicRow) -> bool {
        row.name.as_str().starts_with(&self.prefix) && contains(row.name.as_str(), &self.search)
    }

    fn page(&self, rows: &[TopicRow]) -> TopicPage {
        let matching = || rows.iter().filter(|row| self.matches(row));
        let is_after = |row: &&TopicRow| match &self.after {
            Some((value, name)) => self.compare(row, *value, name) == Ordering::Greater,
            None => true,
        };
        let in_order = |one: &&TopicRow, other: &&TopicRow| {
            self.compare(one, self.order.value_of(other), other.name.as_str())
        };
        let mut found: Vec<&TopicRow> = matching().filter(is_after).collect();
        let more = found.len() > self.limit;
        if more {
            found.select_nth_unstable_by(self.limit, in_order);
            found.truncate(self.limit);
        }
        found.sort_unstable_by(in_order);
        let rows_found = found.into_iter().cloned().collect();
        TopicPage { rows: rows_found, total: rows.len(), matching: matching().count(), more }
    }
}

fn contains(name: &str, search: &str) -> bool {
    let search = search.as_bytes();
    search.is_empty() || name.as_bytes().windows(search.len()).any(|part| part.eq_ignore_ascii_case(search))
}

/// Returns the topic as it is now; `None` if it has just been retired.
fn row_of(state: &TopicState, topics: &Topics) -> Option<TopicRow> {
    let mut locked = state.lock();
    if locked.is_retired() {
        return None;
    }
    locked.refresh_patterns(state.name(), topics.patterns());
    let held = locked.held();
    Some(TopicRow {
        name: state.name().clone(),
        subscribers: locked.subscribers(),
        messages: held.publications as u64,
        bytes: held.bytes as u64,
        newest_ts: locked.log().newest_ts(),
        members: locked.member_count() as u64,
        durable: locked.policy().durable,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows() -> Vec<TopicRow> {
        let row = |name: &str, subscribers| TopicRow {
            name: name.parse().unwrap(),
            subscribers,
            messages: 0,
            bytes: 0,
            newest_ts: None,
            members: 0,
            durable: false,
        };
        vec![row("chat.c", 1), row("chat.a", 5), row("news", 5), row("Chat.b", 0), row("chat.d", 1)]
    }

    fn query(order: TopicOrder, is_descending: bool) -> TopicQuery {
        let (search, prefix) = (String::new(), String::new());
        TopicQuery { search, prefix, order, is_descending, after: None, limit: 2 }
    }

    /// Pages through everything and returns the names.
    fn all(mut query: TopicQuery) -> Vec<String> {
        let rows = rows();
        let mut names = Vec::new();
        loop {
            let page = query.page(&rows);
            assert!(page.rows.len() <= query.limit);
            let last = page.rows.last();
            query.after = last.map(|row| (query.order.value_of(row), row.name.as_str().to_owned()));
            names.extend(page.rows.iter().map(|row| row.name.as_str().to_owned()));
            if !page.more {
                return names;
            }
        }
    }

    #[test]
    fn pages_show_every_topic_once_and_in_order() {
        let by_name = ["Chat.b", "chat.a", "chat.c", "chat.d", "news"];
        assert_eq!(all(query(TopicOrder::Name, false)), by_name);
        let backward: Vec<&str> = by_name.iter().rev().copied().collect();
        assert_eq!(all(query(TopicOrder::Name, true)), backward);
        let by_subscribers = ["chat.a", "news", "chat.c", "chat.d", "Chat.b"];
        assert_eq!(all(query(TopicOrder::Subscribers, true)), by_subscribers);
        let fewest_first = ["Chat.b", "chat.c", "chat.d", "chat.a", "news"];
        assert_eq!(all(query(TopicOrder::Subscribers, false)), fewest_first);
    }

    #[test]
    fn topics_are_found_by_what_is_in_their_name_or_by_how_it_begins() {
        let named = |search: &str, prefix: &str| {
            let (search, prefix) = (search.to_owned(), prefix.to_owned());
            all(TopicQuery { search, prefix, ..query(TopicOrder::Name, false) })
        };
        assert_eq!(named("CHAT.", ""), ["Chat.b", "chat.a", "chat.c", "chat.d"]);
        assert_eq!(named("", "chat."), ["chat.a", "chat.c", "chat.d"]);
        assert_eq!(named("d", "chat."), ["chat.d"]);
        assert!(named("xyz", "").is_empty());
        let counts =
            TopicQuery { prefix: "chat.".to_owned(), ..query(TopicOrder::Name, false) }.page(&rows());
        assert_eq!((counts.total, counts.matching, counts.more), (5, 3, true));
    }
}
