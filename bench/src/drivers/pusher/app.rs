//! The application that a client of a Pusher server belongs to.

use std::fmt;
use std::str::FromStr;

use crate::error::BenchError;

/// An application's number, key and secret.
#[derive(Clone, PartialEq, Eq)]
pub struct PusherApp {
    pub(super) id: String,
    pub(super) key: String,
    pub(super) secret: String,
}

/// The application that soketi has without a configuration.
impl Default for PusherApp {
    fn default() -> Self {
        Self { id: "app-id".into(), key: "app-key".into(), secret: "app-secret".into() }
    }
}

impl FromStr for PusherApp {
    type Err = BenchError;

    /// Reads `ID:KEY:SECRET`. What is wrong is told without the secret.
    fn from_str(text: &str) -> Result<Self, BenchError> {
        let parts: Vec<&str> = text.splitn(3, ':').collect();
        match parts[..] {
            [id, key, secret] if is_plain(id) && is_plain(key) && !secret.is_empty() => {
                Ok(Self { id: id.into(), key: key.into(), secret: secret.into() })
            }
            _ => Err(BenchError::Plan(
                "a Pusher application is ID:KEY:SECRET, with letters, digits, '-', '_', '.' and '~' in ID and KEY"
                    .into(),
            )),
        }
    }
}

impl fmt::Debug for PusherApp {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("PusherApp")
            .field("id", &self.id)
            .field("key", &self.key)
            .finish_non_exhaustive()
    }
}

/// Whether `text` stands in a URL as it is (RFC 3986 §2.3).
fn is_plain(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_application_is_read_and_its_secret_is_never_shown() {
        let app: PusherApp = "3:key:a secret: with colons".parse().unwrap();
        assert_eq!((app.id.as_str(), app.key.as_str()), ("3", "key"));
        assert_eq!(app.secret, "a secret: with colons");
        assert!(!format!("{app:?}").contains("secret:"), "{app:?}");
        for wrong in ["", "id:key", "id:key:", ":key:hush", "id::hush", "i/d:key:hush", "id:k&y:hush"] {
            let error = wrong.parse::<PusherApp>().unwrap_err().to_string();
            assert!(!error.contains("hush"), "{error}");
        }
    }
}
