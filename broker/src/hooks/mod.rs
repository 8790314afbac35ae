//! Hooks: what the application behind the broker is asked over HTTP.
//!
//! This module owns the calls: what they say, how they are signed, how many there are at once, and what an answer may change.
//! Whoever cannot be asked about is refused. It does not know sessions or topics; whoever asks says who wants what.

mod answer;
mod asking;
mod question;
mod signature;

use std::sync::Arc;
use std::time::Duration;

use fanwire_core::Identity;
use fanwire_protocol::Pattern;
use http::Uri;
use tokio::sync::Semaphore;

use crate::client::HttpClient;
use crate::config::{Ask, HooksConfig};
use crate::telemetry::Shared;
use asking::Complaints;
use signature::Signer;

/// The application, as the broker asks it. Without a configured URL nobody is asked, and everybody is allowed what they are
/// allowed without.
#[derive(Default)]
pub(crate) struct Hooks(Option<BackEnd>);

struct BackEnd {
    uri: Uri,
    client: HttpClient,
    signer: Signer,
    asks: Vec<Ask>,
    topics: Vec<Pattern>,
    timeout: Duration,
    turns: Semaphore,
    waiting_max: usize,
    answer_bytes_max: usize,
    message_bytes_max: usize,
    complaints: Complaints,
    counters: Arc<Shared>,
}

/// Who wants something, and over which connection, if it is one that stays.
#[derive(Debug, Clone)]
pub(crate) struct Asker {
    /// Who.
    pub(crate) identity: Identity,
    /// The broker's number for the connection.
    pub(crate) connection: Option<u64>,
}

impl Hooks {
    /// Asks what `config` says of payloads of at most `message_bytes_max`.
    ///
    /// # Errors
    /// If no client can be made, or the URL is none.
    pub(crate) fn new(
        config: &HooksConfig,
        message_bytes_max: usize,
        counters: Arc<Shared>,
    ) -> std::io::Result<Self> {
        let (Some(url), Some(secret)) = (&config.url, &config.secret) else { return Ok(Self(None)) };
        Ok(Self(Some(BackEnd {
            uri: url.parse().map_err(std::io::Error::other)?,
            client: HttpClient::new(None)?,
            signer: Signer::new(secret),
            asks: config.ask.clone(),
            topics: config.ask_about.clone(),
            timeout: config.timeout,
            turns: Semaphore::new(config.asks_at_once_max.min(Semaphore::MAX_PERMITS)),
            waiting_max: config.asks_waiting_max,
            answer_bytes_max: config.answer_bytes_max,
            message_bytes_max,
            complaints: Complaints::default(),
            counters,
        })))
    }

    /// Whether the application is asked this.
    pub(crate) fn asks(&self, ask: Ask) -> bool {
        self.0.as_ref().is_some_and(|back_end| back_end.asks.contains(&ask))
    }

    /// Whether the application is asked this when `identity` wants something of `pattern`. It is not asked about what it does
    /// itself: keys with `admin = true` are its own.
    pub(crate) fn asks_about(&self, ask: Ask, identity: &Identity, pattern: &Pattern) -> bool {
        let concerns = |back_end: &BackEnd| {
            back_end.asks.contains(&ask) && back_end.topics.iter().any(|topics| topics.intersects(pattern))
        };
        !identity.is_admin() && self.0.as_ref().is_some_and(concerns)
    }
}
