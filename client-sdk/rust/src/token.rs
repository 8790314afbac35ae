//! The token a client shows: one until it is replaced, or one that the application is asked for at every connection.

use std::error::Error as StdError;
use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};

use crate::error::Error;

/// A credential, which is never shown.
pub(crate) struct Secret(String);

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Secret(…)")
    }
}

/// The future that the application's source returns.
type Asked = Pin<Box<dyn Future<Output = Result<String, Box<dyn StdError + Send + Sync>>> + Send>>;

/// The source of the token of each connection. Shared by the client and its driver.
pub(crate) enum TokenSource {
    /// It is this one, if any, until a refresh replaces it.
    Kept(Mutex<Option<Secret>>),
    /// The application is asked.
    Asked(Box<dyn Fn() -> Asked + Send + Sync>),
}

impl Default for TokenSource {
    fn default() -> Self {
        Self::Kept(Mutex::default())
    }
}

impl TokenSource {
    /// Creates a source that always returns this token.
    pub(crate) fn keeping(token: String) -> Self {
        Self::Kept(Mutex::new(Some(Secret(token))))
    }

    /// Calls this function of the application.
    pub(crate) fn asking<S, F, E>(source: S) -> Self
    where
        S: Fn() -> F + Send + Sync + 'static,
        F: Future<Output = Result<String, E>> + Send + 'static,
        E: Into<Box<dyn StdError + Send + Sync>>,
    {
        Self::Asked(Box::new(move || {
            let asked = source();
            Box::pin(async move { asked.await.map_err(Into::into) })
        }))
    }

    /// The token for one connection.
    pub(crate) async fn token(&self) -> Result<Option<String>, Error> {
        let asked = match self {
            TokenSource::Kept(token) => {
                let token = token.lock().unwrap_or_else(PoisonError::into_inner);
                return Ok(token.as_ref().map(|secret| secret.0.clone()));
            }
            TokenSource::Asked(ask) => ask(),
        };
        asked.await.map(Some).map_err(|source| Error::Token { source: Arc::from(source) })
    }

    /// Shows this token at every connection from now on. An application that is asked for tokens has the last word.
    pub(crate) fn replace(&self, token: String) {
        if let TokenSource::Kept(kept) = self {
            *kept.lock().unwrap_or_else(PoisonError::into_inner) = Some(Secret(token));
        }
    }

    /// Whether the next token may be another one, so that it is worth coming back when this one is over.
    pub(crate) fn renews(&self) -> bool {
        matches!(self, TokenSource::Asked(_))
    }
}

impl fmt::Debug for TokenSource {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            TokenSource::Kept(_) => "Kept(…)",
            TokenSource::Asked(_) => "Asked(…)",
        })
    }
}
