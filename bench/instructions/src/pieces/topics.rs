//! What happens to a publish and a subscription under a topic: checks, the log, matching, joining.

use std::hint::black_box;

use fanwire_core::held::HeldSum;
use fanwire_core::identity::Identity;
use fanwire_core::limits::{HistoryLimits, SessionLimits};
use fanwire_core::log::TopicLog;
use fanwire_core::pattern_tree::PatternTree;
use fanwire_core::publication::Publish;
use fanwire_core::rules::Access;
use fanwire_core::rules::Rules;
use fanwire_core::session::Session;
use fanwire_core::session::Terms;
use fanwire_core::subscribers::{SessionKey, Subscribers};
use fanwire_formats::JSON;
use fanwire_protocol::{ClientFrame, Epoch, Pattern, Position, Request, StartPoint, Topic};

use super::{REPEAT, measured, payload, topic};

/// Patterns that match nothing of what is published.
const PATTERNS: usize = 10_000;

pub(super) fn session_publish() {
    let rules = Rules::new(Vec::new(), Access::Anyone);
    let limits = SessionLimits {
        message_bytes_max: 1 << 20,
        subscriptions_max: 1000,
        history_limit_max: 1000,
        ping_interval_s: 25,
    };
    let mut session = Session::new(1, Identity::Anonymous);
    let frames: Vec<ClientFrame> = (0..REPEAT)
        .map(|_| {
            let (topic, payload) = (topic("orders.eu.paid"), payload());
            ClientFrame { id: Some(7), request: Request::Publish { topic, payload, key: None, echo: true } }
        })
        .collect();
    let terms = Terms { limits: &limits, rules: &rules, has_authentication: false };
    measured(|| {
        for frame in frames {
            black_box(session.handle(Ok(frame), terms));
        }
    });
}

fn publish(topic: &Topic) -> Publish {
    Publish { topic: topic.clone(), payload: payload(), from: None, key: None, except: None }
}

/// A log that is full, as most that are busy.
fn full_log(topic: &Topic, held: &HeldSum) -> TopicLog {
    let mut log = TopicLog::new(Epoch::from_random(1), 1);
    for now in 0..HistoryLimits::DEFAULT.messages as u64 {
        log.append(publish(topic), topic, &HistoryLimits::DEFAULT, now, now, held);
    }
    log
}

pub(super) fn log_append() {
    let (topic, held) = (topic("orders.eu.paid"), HeldSum::default());
    let mut log = full_log(&topic, &held);
    let publishes: Vec<Publish> = (0..REPEAT).map(|_| publish(&topic)).collect();
    measured(|| {
        for (publish, now) in publishes.into_iter().zip(1000..) {
            black_box(log.append(publish, &topic, &HistoryLimits::DEFAULT, now, now, &held));
        }
    });
}

/// Resuming two publications behind the head of a log that holds a hundred.
pub(super) fn resume() {
    let log = full_log(&topic("orders.eu.paid"), &HeldSum::default());
    let Position { epoch, offset } = log.head();
    let place = StartPoint::After(Position { epoch, offset: offset - 2 });
    measured(|| {
        for _ in 0..REPEAT {
            black_box(log.since(black_box(place)));
        }
    });
}

/// First levels that topics and patterns share. Many, because how far a look-up has to search a table depends on its seed,
/// and does so alike for all topics that begin alike.
const AREAS: usize = 100;

/// Patterns that share levels with the topics, but match none of them.
fn tree() -> PatternTree<usize> {
    let mut tree = PatternTree::default();
    for number in 0..PATTERNS {
        let area = number % AREAS;
        let text = match number % 3 {
            0 => format!("bench{area}.*.n{number:06}"),
            1 => format!("bench{area}.n{number:06}.>"),
            _ => format!("n{number:06}.*"),
        };
        *tree.entry(&pattern(&text), || 0) += 1;
    }
    tree
}

fn pattern(text: &str) -> Pattern {
    text.parse().expect("the pieces name patterns by the rules")
}

fn topics() -> Vec<Topic> {
    (0..REPEAT as usize).map(|number| topic(&format!("bench{}.{number:06}.paid", number % AREAS))).collect()
}

fn count_matches(tree: &PatternTree<usize>) {
    let topics = topics();
    let mut matches = 0;
    measured(|| {
        for topic in &topics {
            tree.for_each_match(topic, |count| matches += count);
        }
    });
    black_box(matches);
}

pub(super) fn match_none() {
    count_matches(&tree());
}

pub(super) fn match_some() {
    let mut tree = tree();
    for area in 0..AREAS {
        for text in [format!("bench{area}.>"), format!("bench{area}.*.paid")] {
            *tree.entry(&pattern(&text), || 0) += 1;
        }
    }
    count_matches(&tree);
}

pub(super) fn join_leave() {
    let patterns: Vec<Pattern> = (0..REPEAT).map(|number| pattern(&format!("bench.{number:06}"))).collect();
    let mut subscribers = Subscribers::default();
    measured(|| {
        let keys: Vec<_> = patterns
            .iter()
            .zip(0..)
            .map(|(pattern, session)| subscribers.join(pattern, SessionKey(session), &JSON, 0))
            .collect();
        for (pattern, key) in patterns.iter().zip(keys) {
            subscribers.leave(pattern, key);
        }
    });
}
