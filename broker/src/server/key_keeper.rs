//! Fetches the keys of the identity provider: at the start, every few minutes, and when a token needs newer keys.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use http::Uri;

use super::error::ServeError;
use crate::auth::{
    FETCH_INTERVAL_MIN, FETCH_TIMEOUT, KEY_SET_BYTES_MAX, KEYS_GOOD_FOR, KeySet, REFRESH_INTERVAL,
};
use crate::client::HttpClient;
use crate::config::AuthConfig;
use crate::operator_file;
use crate::telemetry::Shared;
use crate::token::{Algorithm, parse_key_set};

/// Keeps one key set current.
pub(super) struct KeyKeeper {
    uri: Uri,
    algorithms: Vec<Algorithm>,
    client: HttpClient,
    keys: Arc<KeySet>,
    counters: Arc<Shared>,
}

impl KeyKeeper {
    /// Creates a keeper for the key set that the configuration names. Returns `None` if it names none.
    ///
    /// # Errors
    /// If the certificates to trust cannot be read.
    pub(super) fn new(auth: &AuthConfig, counters: Arc<Shared>) -> Result<Option<Self>, ServeError> {
        let Some(url) = &auth.jwks_url else { return Ok(None) };
        let uri = url.parse().map_err(|error| ServeError::Auth(format!("auth.jwks_url: {error}")))?;
        let client = client_of(auth)?;
        let (algorithms, keys) = (auth.algorithms.clone(), Arc::default());
        Ok(Some(Self { uri, algorithms, client, keys, counters }))
    }

    /// Returns the key set.
    pub(super) fn keys(&self) -> &Arc<KeySet> {
        &self.keys
    }

    /// Runs `keeper` if there is one; otherwise never returns.
    pub(super) async fn run_if_any(keeper: Option<&Self>) {
        match keeper {
            Some(keeper) => keeper.run().await,
            None => std::future::pending().await,
        }
    }

    /// Fetches the key set at intervals and on demand, until the future is dropped.
    async fn run(&self) {
        loop {
            let wait = if self.fetch().await { REFRESH_INTERVAL } else { FETCH_INTERVAL_MIN };
            tokio::time::sleep(FETCH_INTERVAL_MIN).await;
            let rest = wait.saturating_sub(FETCH_INTERVAL_MIN);
            tokio::select! {
                () = tokio::time::sleep(rest) => {}
                () = self.keys.wanted() => {}
            }
        }
    }

    async fn fetch(&self) -> bool {
        let read = match self.client.get(&self.uri, FETCH_TIMEOUT, KEY_SET_BYTES_MAX).await {
            Ok(json) => parse_key_set(&json, &self.algorithms).map_err(|error| error.to_string()),
            Err(error) => Err(error.to_string()),
        };
        match read {
            Ok(keys) => {
                tracing::debug!(url = %self.uri, keys = keys.len(), "key set fetched");
                self.counters.key_set_fetches.fetch_add(1, Ordering::Relaxed);
                self.keys.replace(keys);
                true
            }
            Err(error) => {
                tracing::error!(
                    url = %self.uri,
                    error,
                    "the key set cannot be used; keys fetched before are good for {} s, then every token is refused",
                    KEYS_GOOD_FOR.as_secs()
                );
                self.counters.key_set_failures.fetch_add(1, Ordering::Relaxed);
                self.keys.failed();
                false
            }
        }
    }
}

/// Creates the client that fetches the key set.
///
/// # Errors
/// If the certificates to trust cannot be read.
pub(super) fn client_of(auth: &AuthConfig) -> Result<HttpClient, ServeError> {
    let key = "auth.jwks_ca_file";
    let authorities = match &auth.jwks_ca_file {
        Some(path) => Some((
            path,
            operator_file::read(path).map_err(|error| {
                ServeError::Auth(format!("{key}: cannot read {}: {error}", path.display()))
            })?,
        )),
        None => None,
    };
    let pem = authorities.as_ref().map(|(_, pem)| pem.as_slice());
    HttpClient::new(pem).map_err(|error| match &auth.jwks_ca_file {
        Some(path) => ServeError::Auth(format!("{key}: {}: {error}", path.display())),
        None => ServeError::Auth(error.to_string()),
    })
}
