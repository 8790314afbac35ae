//! The keys of an identity provider as they are known now, and who waits for newer ones.
//!
//! This file owns when keys are good, and when newer ones are asked for. Fetching them is done elsewhere, by whoever is rung.

use std::sync::Arc;
use std::time::Duration;

use fanwire_core::access::Refusal;
use fanwire_protocol::ErrorCode;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use crate::token::{Unverified, VerifyingKey};

/// How long one fetch may take.
pub(crate) const FETCH_TIMEOUT: Duration = Duration::from_secs(5);

/// The least time between two fetches, whoever asks: tokens with made-up `kid`s must not make the broker flood its identity
/// provider.
pub(crate) const FETCH_INTERVAL_MIN: Duration = Duration::from_secs(5);

/// How long keys that were fetched are used before they are fetched again.
pub(crate) const REFRESH_INTERVAL: Duration = Duration::from_secs(5 * 60);

/// How long keys are used after they were last fetched, if fetching fails.
pub(crate) const KEYS_GOOD_FOR: Duration = Duration::from_secs(60 * 60);

/// The largest key set that is read, in bytes.
pub(crate) const KEY_SET_BYTES_MAX: usize = 256 * 1024;

/// The keys of one identity provider, shared by all who check tokens.
#[derive(Debug)]
pub(crate) struct KeySet {
    state: watch::Sender<State>,
    wanted: Notify,
}

#[derive(Debug, Clone, Default)]
struct State {
    keys: Arc<Vec<VerifyingKey>>,
    fetched_at: Option<Instant>,
    tried_at: Option<Instant>,
}

impl Default for KeySet {
    fn default() -> Self {
        Self { state: watch::Sender::new(State::default()), wanted: Notify::new() }
    }
}

impl KeySet {
    /// Takes over keys that were just fetched.
    pub(crate) fn replace(&self, keys: Vec<VerifyingKey>) {
        let now = Instant::now();
        self.state.send_replace(State { keys: Arc::new(keys), fetched_at: Some(now), tried_at: Some(now) });
    }

    /// Notes that fetching has failed. What is known stays good for a while.
    pub(crate) fn failed(&self) {
        self.state.send_modify(|state| state.tried_at = Some(Instant::now()));
    }

    /// Waits until somebody shows a token for which newer keys are wanted.
    pub(crate) async fn wanted(&self) {
        self.wanted.notified().await;
    }

    /// The keys that a token may be signed with. If none of those known may be it, newer ones are fetched first, unless that
    /// has just been done.
    ///
    /// # Errors
    /// If no good keys can be had: then nobody is let in.
    pub(crate) async fn keys_for(&self, token: &Unverified<'_>) -> Result<Arc<Vec<VerifyingKey>>, Refusal> {
        let mut states = self.state.subscribe();
        let state = states.borrow_and_update().clone();
        if state.is_good() && state.keys.iter().any(|key| token.may_be_of(key)) {
            return Ok(state.keys);
        }
        if state.tried_at.is_none_or(|tried_at| tried_at.elapsed() >= FETCH_INTERVAL_MIN) {
            self.wanted.notify_one();
            // Whatever has come by then is looked at.
            let _came = tokio::time::timeout(FETCH_TIMEOUT + Duration::from_secs(1), states.changed()).await;
        }
        let state = states.borrow().clone();
        if state.is_good() {
            return Ok(state.keys);
        }
        let message =
            "tokens cannot be checked at the moment: the broker waits for the keys of its identity provider";
        Err(Refusal { code: ErrorCode::Unavailable, message: message.to_owned() })
    }
}

impl State {
    fn is_good(&self) -> bool {
        self.fetched_at.is_some_and(|fetched_at| fetched_at.elapsed() < KEYS_GOOD_FOR)
    }
}
