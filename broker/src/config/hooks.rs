//! What the application is asked and told over HTTP: the section `[hooks]`.
//!
//! This file owns what it may say. How the application is asked is the business of `hooks`.

use std::path::PathBuf;
use std::time::Duration;

use fanwire_protocol::Pattern;

use super::nearest::nearest;
use super::value::Raw;
use crate::secret::Secret;

/// The longest that the application may be given to answer: sessions that wait are not listened to.
const TIMEOUT_MAX: Duration = Duration::from_secs(20);

/// The shortest secret, in bytes: a shorter one can be guessed from one signed request.
pub(crate) const SECRET_BYTES_MIN: usize = 16;

/// What the application is asked and told over HTTP.
#[derive(Debug, Clone, PartialEq)]
pub struct HooksConfig {
    /// Where the application answers; `None` if it is asked and told nothing.
    pub url: Option<String>,
    /// What every call is signed with.
    pub secret: Option<Secret>,
    /// A file with that secret.
    pub secret_file: Option<PathBuf>,
    /// A file with certificates (PEM) of authorities to trust for `url`, besides those that browsers do.
    pub ca_file: Option<PathBuf>,
    /// What it is asked about.
    pub ask: Vec<Callout>,
    /// The topics it is asked about.
    pub ask_about: Vec<Pattern>,
    /// How long it may take to answer, the wait for a turn included.
    pub timeout: Duration,
    /// How many questions are on their way at once.
    pub asks_at_once_max: usize,
    /// How many questions may wait for their turn; beyond that they are refused.
    pub asks_waiting_max: usize,
    /// The largest answer that is read, in bytes.
    pub answer_bytes_max: usize,
    /// What it is told about.
    pub tell: Vec<WebhookEvent>,
    /// The topics it is told about.
    pub tell_about: Vec<Pattern>,
    /// For how long a topic must have been without subscribers before that is told.
    pub tell_vacated_after: Duration,
    /// How long an event waits for others to be told with.
    pub tell_delay: Duration,
    /// How many events are told at once.
    pub tell_batch_events_max: usize,
    /// How many bytes of events are told at once.
    pub tell_batch_bytes_max: usize,
    /// How many events are held until they are told; beyond that the oldest are dropped.
    pub tell_queue_events_max: usize,
    /// How many bytes of events are held.
    pub tell_queue_bytes_max: usize,
    /// How long the wait before another attempt may become.
    pub tell_backoff_max: Duration,
    /// How old an event may become before it is not told any more.
    pub tell_age_max: Duration,
}

impl Default for HooksConfig {
    fn default() -> Self {
        Self {
            url: None,
            secret: None,
            secret_file: None,
            ca_file: None,
            ask: Vec::new(),
            ask_about: vec![everything()],
            timeout: Duration::from_secs(5),
            asks_at_once_max: 64,
            asks_waiting_max: 4096,
            answer_bytes_max: 2 * 1024 * 1024,
            tell: Vec::new(),
            tell_about: vec![everything()],
            tell_vacated_after: Duration::from_secs(5),
            tell_delay: Duration::from_millis(100),
            tell_batch_events_max: 500,
            tell_batch_bytes_max: 256 * 1024,
            tell_queue_events_max: 100_000,
            tell_queue_bytes_max: 32 * 1024 * 1024,
            tell_backoff_max: Duration::from_secs(30),
            tell_age_max: Duration::from_secs(60 * 60),
        }
    }
}

fn everything() -> Pattern {
    Pattern::new(">").expect("'>' is the pattern of all topics")
}

/// What the application can be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Callout {
    /// Whether somebody may connect, and as whom.
    Connect,
    /// Whether somebody may subscribe to a topic or pattern and read it.
    Subscribe,
    /// Whether something may be published.
    Publish,
    /// What a client wants to know of it.
    Request,
}

impl Callout {
    /// Everything that can be asked.
    pub const ALL: [Callout; 4] = [Callout::Connect, Callout::Subscribe, Callout::Publish, Callout::Request];

    /// Its name in the configuration and in calls.
    pub fn name(self) -> &'static str {
        match self {
            Callout::Connect => "connect",
            Callout::Subscribe => "subscribe",
            Callout::Publish => "publish",
            Callout::Request => "request",
        }
    }
}

/// What the application can be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WebhookEvent {
    /// That a connection is over.
    Disconnect,
    /// That a topic or pattern has got its first subscriber.
    Occupied,
    /// That it has lost its last.
    Vacated,
    /// That a user has come to a topic with presence.
    Join,
    /// That a user has left it.
    Leave,
}

impl WebhookEvent {
    /// Everything that can be told.
    pub const ALL: [WebhookEvent; 5] = [
        WebhookEvent::Disconnect,
        WebhookEvent::Occupied,
        WebhookEvent::Vacated,
        WebhookEvent::Join,
        WebhookEvent::Leave,
    ];

    /// Its name in the configuration and in calls.
    pub fn name(self) -> &'static str {
        match self {
            WebhookEvent::Disconnect => "disconnect",
            WebhookEvent::Occupied => "occupied",
            WebhookEvent::Vacated => "vacated",
            WebhookEvent::Join => "join",
            WebhookEvent::Leave => "leave",
        }
    }
}

/// Reads the URL of the application.
pub(super) fn read_url(raw: Raw<'_>) -> Result<Option<String>, String> {
    let Some(text) = raw.optional_word()? else { return Ok(None) };
    let uri = text.parse::<http::Uri>().ok();
    match uri.as_ref().and_then(|uri| Some((uri.scheme_str()?, uri.host()?))) {
        Some(("http" | "https", _)) if has_user(uri.as_ref()) => {
            // The text is not repeated: it holds a password.
            Err("there must be no user or password in it: calls are signed with hooks.secret instead"
                .to_owned())
        }
        Some(("http" | "https", host)) if !host.is_empty() => Ok(Some(text.to_owned())),
        _ => Err(format!("'{text}' is not a URL like 'http://localhost:8000/hook.php'")),
    }
}

fn has_user(uri: Option<&http::Uri>) -> bool {
    uri.and_then(http::Uri::authority).is_some_and(|authority| authority.as_str().contains('@'))
}

/// Reads the secret, which errors must not repeat.
pub(super) fn read_secret(raw: Raw<'_>) -> Result<Option<Secret>, String> {
    match raw.optional_word()? {
        Some(text) if text.len() < SECRET_BYTES_MIN => {
            Err(format!("the secret is too short: take at least {SECRET_BYTES_MIN} random characters"))
        }
        text => Ok(text.map(Secret::new)),
    }
}

/// Reads what is asked.
pub(super) fn read_asks(raw: Raw<'_>) -> Result<Vec<Callout>, String> {
    let read = |name: &str| {
        Callout::ALL.into_iter().find(|ask| ask.name() == name).ok_or_else(|| {
            format!("'{name}' cannot be asked; write 'connect', 'subscribe', 'publish' or 'request'")
        })
    };
    raw.list()?.iter().map(|name| read(name)).collect()
}

/// Reads what is told.
pub(super) fn read_tells(raw: Raw<'_>) -> Result<Vec<WebhookEvent>, String> {
    let read = |name: &str| {
        WebhookEvent::ALL.into_iter().find(|tell| tell.name() == name).ok_or_else(|| {
            let nearest = nearest(name, WebhookEvent::ALL.into_iter().map(WebhookEvent::name));
            format!(
                "'{name}' cannot be told; did you mean '{nearest}'? There are 'disconnect', 'occupied', 'vacated', \
                 'join' and 'leave'"
            )
        })
    };
    raw.list()?.iter().map(|name| read(name)).collect()
}

/// Reads how long the application may take.
pub(super) fn read_timeout(raw: Raw<'_>) -> Result<Duration, String> {
    match raw.duration()? {
        Duration::ZERO => Err("nobody can answer in no time: write at least '10ms'".to_owned()),
        timeout if timeout > TIMEOUT_MAX => {
            Err(format!("that is too long for those who wait: write at most '{}s'", TIMEOUT_MAX.as_secs()))
        }
        timeout => Ok(timeout),
    }
}
