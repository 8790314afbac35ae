//! The scenarios and what each of them can be told.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};

/// A scenario: what is measured.
#[derive(Debug, Clone)]
pub enum Scenario {
    /// Publications flow from publishers to subscribers.
    Flow(Flow),
    /// Publications flow, and each is on disk before it is acknowledged.
    Durable {
        /// The flow of the publications.
        flow: Flow,
        /// The folder in which the server's data directory is made for the time of the run.
        directory: PathBuf,
    },
    /// Publications flow twice: to subscribers who all read, and to the same beside some who have stopped reading.
    Stuck {
        /// The flow, and the number of subscribers that read.
        flow: Flow,
        /// The number of subscribers that do not read.
        stuck: usize,
    },
    /// Publications flow through a server with one worker, and through one with more.
    Workers {
        /// The flow of the publications.
        flow: Flow,
        /// The larger number of workers.
        workers: usize,
    },
    /// Publications flow past subscriptions to patterns that do not match them.
    Patterns(Patterns),
    /// Subscribed connections do nothing.
    Idle(Idle),
    /// Many connections come at once.
    Storm(Storm),
    /// Sessions subscribe and unsubscribe.
    Churn(Churn),
    /// Sessions are given what a topic holds.
    Replay(Replay),
    /// Very many topics hold one message each.
    Retained(Retained),
}

/// A flow of publications.
#[derive(Debug, Clone)]
pub struct Flow {
    /// The name in reports.
    pub name: &'static str,
    /// Connections that publish, each to all topics in turn.
    pub publishers: usize,
    /// Connections that are subscribed.
    pub subscribers: usize,
    /// To what they are subscribed.
    pub listeners: Listeners,
    /// The number of topics.
    pub topics: usize,
    /// Bytes of each payload.
    pub payload_bytes: usize,
    /// The pace of the publishers.
    pub pacing: Pacing,
    /// Publishing before anything is measured.
    pub warmup: Duration,
    /// The time for which to publish while measuring.
    pub duration: Duration,
    /// Stops earlier, after so many publications of all publishers together.
    pub publications: Option<u64>,
    /// Every so-manieth subscriber's messages are looked into for order and latency; all are counted.
    pub inspect_every: usize,
}

/// The subscriptions of the subscribers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Listeners {
    /// Number `n` to topic `n % topics`.
    OneTopicEach,
    /// All of them to everything, by a pattern. Their messages are counted, not looked into.
    Everything,
}

/// The rate of the publishers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Pacing {
    /// As fast as it goes, each publisher with at most so many publications unacknowledged.
    Window(u64),
    /// So many publications per second, of all publishers together.
    Rate(f64),
}

/// Subscriptions to patterns that match nothing, beside a flow of publications.
#[derive(Debug, Clone)]
pub struct Patterns {
    /// The flow of the publications; each round goes to every topic as often as `publications` allow.
    pub flow: Flow,
    /// The final number of subscriptions to patterns; a tenth of them is measured too.
    pub patterns: usize,
}

/// Connections that receive nothing.
#[derive(Debug, Clone)]
pub struct Idle {
    /// The number of connections.
    pub connections: usize,
    /// Topics they are subscribed to; connection `n` to topic `n % topics`.
    pub topics: usize,
    /// The time for which they stay, before memory is read again.
    pub hold: Duration,
}

/// Connections that all come at once, and subscribe.
#[derive(Debug, Clone)]
pub struct Storm {
    /// The number of connections.
    pub connections: usize,
}

/// Sessions that subscribe to one topic after the other and leave it at once.
#[derive(Debug, Clone)]
pub struct Churn {
    /// The number of sessions.
    pub sessions: usize,
    /// The number of topics that they go through.
    pub topics: usize,
    /// The maximum number of unanswered rounds of each session.
    pub window: u64,
    /// The time for which to measure.
    pub duration: Duration,
}

/// A topic that holds much, and sessions that come back to it one after the other.
#[derive(Debug, Clone)]
pub struct Replay {
    /// The number of publications that the topic holds.
    pub publications: u64,
    /// The number of sessions that read all of them.
    pub sessions: usize,
    /// Bytes of each payload.
    pub payload_bytes: usize,
    /// The folder in which the data directory is made if the topic is held on disk.
    pub directory: Option<PathBuf>,
}

/// Topics that hold one message each.
#[derive(Debug, Clone)]
pub struct Retained {
    /// The number of topics.
    pub topics: usize,
    /// Bytes of each payload.
    pub payload_bytes: usize,
}

impl Flow {
    /// All connections it takes.
    pub(crate) fn connections(&self) -> usize {
        self.subscribers + self.publishers
    }

    fn settings(&self) -> Value {
        json!({
            "publishers": self.publishers,
            "subscribers": self.subscribers,
            "topics": self.topics,
            "payload_bytes": self.payload_bytes,
            "window": match self.pacing { Pacing::Window(size) => Some(size), Pacing::Rate(_) => None },
            "rate_per_second": match self.pacing { Pacing::Rate(rate) => Some(rate), Pacing::Window(_) => None },
            "warmup_seconds": self.warmup.as_secs_f64(),
            "seconds": self.duration.as_secs_f64(),
            "publications_max": self.publications,
            "inspect_every": self.inspect_every,
        })
    }
}

impl Patterns {
    /// Subscriptions of one session; well below what servers allow by default.
    pub(crate) const IN_SESSION: usize = 500;

    /// Returns the number of sessions that hold the subscriptions.
    pub(crate) fn sessions(&self) -> usize {
        self.patterns.div_ceil(Self::IN_SESSION)
    }
}

impl Scenario {
    /// The name in reports.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Flow(flow) | Self::Durable { flow, .. } => flow.name,
            Self::Stuck { .. } => "stuck",
            Self::Workers { .. } => "workers",
            Self::Patterns(_) => "patterns",
            Self::Idle(_) => "idle",
            Self::Storm(_) => "storm",
            Self::Churn(_) => "churn",
            Self::Replay(_) => "replay",
            Self::Retained(_) => "retained",
        }
    }

    /// Returns the folder in which a data directory is made, if one is needed.
    pub(crate) fn directory(&self) -> Option<&Path> {
        match self {
            Self::Durable { directory, .. } => Some(directory),
            Self::Replay(replay) => replay.directory.as_deref(),
            _ => None,
        }
    }

    /// Returns the description in a report.
    pub(super) fn settings(&self) -> Value {
        match self {
            Self::Flow(flow) | Self::Durable { flow, .. } => flow.settings(),
            Self::Stuck { flow, stuck } => with(flow.settings(), "stuck", *stuck),
            Self::Workers { flow, workers } => with(flow.settings(), "workers", *workers),
            Self::Patterns(patterns) => with(patterns.flow.settings(), "patterns", patterns.patterns),
            Self::Idle(idle) => json!({
                "connections": idle.connections,
                "topics": idle.topics,
                "seconds": idle.hold.as_secs_f64(),
            }),
            Self::Storm(storm) => json!({ "connections": storm.connections }),
            Self::Churn(churn) => json!({
                "sessions": churn.sessions,
                "topics": churn.topics,
                "window": churn.window,
                "seconds": churn.duration.as_secs_f64(),
            }),
            Self::Replay(replay) => json!({
                "publications": replay.publications,
                "sessions": replay.sessions,
                "payload_bytes": replay.payload_bytes,
                "from": if replay.directory.is_some() { "disk" } else { "memory" },
            }),
            Self::Retained(retained) => json!({
                "topics": retained.topics,
                "payload_bytes": retained.payload_bytes,
            }),
        }
    }
}

fn with(mut settings: Value, name: &str, value: usize) -> Value {
    settings[name] = value.into();
    settings
}
