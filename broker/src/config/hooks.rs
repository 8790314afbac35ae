//! The section `[hooks]`: the application's URL, how calls are signed, and which callouts are made.
//!
//! This file owns the keys, their defaults and the checks of each value. `hooks` makes the calls. The section
//! `[webhooks]` uses the same URL, secret and authorities.

use std::path::PathBuf;
use std::time::Duration;

use fanwire_protocol::Pattern;

use super::value::Raw;
use crate::secret::Secret;

/// The longest `hooks.timeout`: a session processes no further frames while a callout is pending.
const TIMEOUT_MAX: Duration = Duration::from_secs(20);

/// The minimum length of `hooks.secret`, in bytes. A shorter secret can be guessed from one signed request.
pub(crate) const SECRET_BYTES_MIN: usize = 16;

/// The application's URL, how calls to it are signed, and the callouts that are made.
#[derive(Debug, Clone, PartialEq)]
pub struct HooksConfig {
    /// The URL that receives callouts and webhooks; `None` if neither is used.
    pub url: Option<String>,
    /// The secret that signs every call.
    pub secret: Option<Secret>,
    /// A file with that secret.
    pub secret_file: Option<PathBuf>,
    /// A file with certificates (PEM) of authorities to trust for `url`, besides those that browsers trust.
    pub ca_file: Option<PathBuf>,
    /// The callouts that are made.
    pub callouts: Vec<Callout>,
    /// The topics for which `subscribe` and `publish` callouts are made.
    pub callout_topics: Vec<Pattern>,
    /// The time limit of one call. For a callout it includes the wait for a permit.
    pub timeout: Duration,
    /// The maximum number of callouts in progress.
    pub callouts_at_once_max: usize,
    /// The maximum number of callouts that wait for a permit. Further callouts fail at once.
    pub callouts_waiting_max: usize,
    /// The maximum size of all callouts that wait or are in progress, in bytes. Further callouts fail at once.
    pub callouts_bytes_max: usize,
    /// The maximum size of an answer to a callout, in bytes.
    pub answer_bytes_max: usize,
}

impl Default for HooksConfig {
    fn default() -> Self {
        Self {
            url: None,
            secret: None,
            secret_file: None,
            ca_file: None,
            callouts: Vec::new(),
            callout_topics: vec![all_topics()],
            timeout: Duration::from_secs(5),
            callouts_at_once_max: 64,
            callouts_waiting_max: 4096,
            callouts_bytes_max: 64 * 1024 * 1024,
            answer_bytes_max: 2 * 1024 * 1024,
        }
    }
}

/// Returns the pattern that matches every topic.
pub(super) fn all_topics() -> Pattern {
    Pattern::new(">").expect("'>' is the pattern of all topics")
}

/// A kind of callout.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Callout {
    /// Authorizes a connection, and may set its user, info and grants.
    Connect,
    /// Authorizes a subscription to a topic or pattern, and reading it.
    Subscribe,
    /// Authorizes a publication, and may change its payload.
    Publish,
    /// Answers a client's request (RPC).
    Request,
}

impl Callout {
    /// All kinds of callouts.
    pub const ALL: [Callout; 4] = [Callout::Connect, Callout::Subscribe, Callout::Publish, Callout::Request];

    /// Returns the name in the configuration and in the calls.
    pub fn name(self) -> &'static str {
        match self {
            Callout::Connect => "connect",
            Callout::Subscribe => "subscribe",
            Callout::Publish => "publish",
            Callout::Request => "request",
        }
    }
}

/// Reads the URL of the application.
pub(super) fn read_url(raw: Raw<'_>) -> Result<Option<String>, String> {
    let Some(text) = raw.optional_word()? else { return Ok(None) };
    let uri = text.parse::<http::Uri>().ok();
    match uri.as_ref().and_then(|uri| Some((uri.scheme_str()?, uri.host()?))) {
        Some(("http" | "https", _)) if has_user(uri.as_ref()) => {
            // The error does not repeat the URL, because the URL contains a password.
            Err("the URL must not contain a user or a password: calls are signed with hooks.secret instead"
                .to_owned())
        }
        Some(("http" | "https", host)) if !host.is_empty() => Ok(Some(text.to_owned())),
        _ => Err(format!("'{text}' is not a URL like 'http://localhost:8000/hook.php'")),
    }
}

fn has_user(uri: Option<&http::Uri>) -> bool {
    uri.and_then(http::Uri::authority).is_some_and(|authority| authority.as_str().contains('@'))
}

/// Reads the secret. Errors do not repeat it.
pub(super) fn read_secret(raw: Raw<'_>) -> Result<Option<Secret>, String> {
    match raw.optional_word()? {
        Some(text) if text.len() < SECRET_BYTES_MIN => {
            Err(format!("the secret is too short: use at least {SECRET_BYTES_MIN} random characters"))
        }
        text => Ok(text.map(Secret::new)),
    }
}

/// Reads the list of callouts.
pub(super) fn read_callouts(raw: Raw<'_>) -> Result<Vec<Callout>, String> {
    let read = |name: &str| {
        Callout::ALL.into_iter().find(|callout| callout.name() == name).ok_or_else(|| {
            format!("'{name}' is not a callout; write 'connect', 'subscribe', 'publish' or 'request'")
        })
    };
    raw.list()?.iter().map(|name| read(name)).collect()
}

/// Reads the time limit of a call.
pub(super) fn read_timeout(raw: Raw<'_>) -> Result<Duration, String> {
    match raw.duration()? {
        timeout if timeout > TIMEOUT_MAX => Err(format!(
            "sessions wait for the answer, so this is too long: write at most '{}s'",
            TIMEOUT_MAX.as_secs()
        )),
        timeout => Ok(timeout),
    }
}
