//! The keys of an identity provider that the broker knows, and the requests that wait for newer keys.
//!
//! This file decides how long keys are valid, and when newer keys are needed. `server::key_keeper` fetches them.

use std::sync::Arc;
use std::time::Duration;

use fanwire_core::access::Refusal;
use fanwire_protocol::ErrorCode;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use crate::token::{Unverified, VerifyingKey};

/// The maximum duration of one fetch.
pub(crate) const FETCH_TIMEOUT: Duration = Duration::from_secs(5);

/// The minimum time between two fetches. Tokens with invented `kid`s must not make the broker flood its identity provider.
pub(crate) const FETCH_INTERVAL_MIN: Duration = Duration::from_secs(5);

/// The interval at which keys are fetched again.
pub(crate) const REFRESH_INTERVAL: Duration = Duration::from_secs(5 * 60);

/// The time for which keys stay valid after the last successful fetch.
pub(crate) const KEYS_GOOD_FOR: Duration = Duration::from_secs(60 * 60);

/// The maximum size of a key set in bytes.
pub(crate) const KEY_SET_BYTES_MAX: usize = 256 * 1024;

/// The keys of one identity provider, shared by all workers.
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
    /// Replaces the keys with keys that were just fetched.
    pub(crate) fn replace(&self, keys: Vec<VerifyingKey>) {
        let now = Instant::now();
        self.state.send_replace(State { keys: Arc::new(keys), fetched_at: Some(now), tried_at: Some(now) });
    }

    /// Notes that a fetch failed. The known keys stay valid for [`KEYS_GOOD_FOR`].
    pub(crate) fn failed(&self) {
        self.state.send_modify(|state| state.tried_at = Some(Instant::now()));
    }

    /// Waits until a token needs newer keys.
    pub(crate) async fn wanted(&self) {
        self.wanted.notified().await;
    }

    /// Returns the keys that a token may be signed with. If none of the known keys fits, newer keys are fetched first, unless a
    /// fetch has just been made.
    ///
    /// # Errors
    /// If there are no valid keys. Then no token is accepted.
    pub(crate) async fn keys_for(&self, token: &Unverified<'_>) -> Result<Arc<Vec<VerifyingKey>>, Refusal> {
        let mut states = self.state.subscribe();
        let state = states.borrow_and_update().clone();
        if state.is_good() && state.keys.iter().any(|key| token.may_be_of(key)) {
            return Ok(state.keys);
        }
        if state.tried_at.is_none_or(|tried_at| tried_at.elapsed() >= FETCH_INTERVAL_MIN) {
            self.wanted.notify_one();
            // Whatever the keys are by then decides.
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
