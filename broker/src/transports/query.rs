//! The query of a transport's URL. A parameter that does not exist is refused: a misspelt one would change the meaning.

use std::time::Duration;

use fanwire_core::session::Start;
use fanwire_protocol::{Epoch, Position, Since};

use crate::clock;
use crate::config::nearest;
use crate::problem::Problem;

/// The maximum length of an unknown name in an error, in bytes.
const NAME_CHARACTERS_MAX: usize = 40;

/// The longest wait of a long poll.
const WAIT_MAX: Duration = Duration::from_secs(60);

/// The parameters of a topic's URL and of `/stream`. The token is read elsewhere.
const PARAMETERS: [&str; 11] = [
    "topic",
    "since",
    "last",
    "limit",
    "reverse",
    "wait",
    "echo",
    "envelope",
    "observe",
    "lastEventId",
    TOKEN,
];

/// The parameter that carries a token.
const TOKEN: &str = "token";

/// Another spelling of `lastEventId`.
const LAST_EVENT_ID: &str = "lastEventID";

/// The query of a topic's URL or of `/stream`.
#[derive(Debug, Clone)]
pub(crate) struct Query {
    pub(crate) topics: Vec<String>,
    pub(crate) since: Option<Since>,
    /// The number of newest publications to begin with.
    pub(crate) last: Option<usize>,
    pub(crate) limit: Option<usize>,
    /// Newest first, back from `since` or from the newest.
    pub(crate) reverse: bool,
    pub(crate) wait: Duration,
    pub(crate) echo: bool,
    /// Whether events carry the whole publication in place of the payload alone.
    pub(crate) envelope: bool,
    /// Whether the session observes the topics without being a subscriber or a member.
    pub(crate) observe: bool,
    /// The cursor of a client that cannot set the header `Last-Event-ID`. It takes precedence over `since`, because clients
    /// repeat the URL when they reconnect.
    pub(crate) resumed: Option<Since>,
}

impl Query {
    /// Reads a query as browsers write it (WHATWG URL, `application/x-www-form-urlencoded`). `limit` and `last` are at most
    /// `limit_max`.
    ///
    /// # Errors
    /// If there is no parameter of a name, or a value is not what its name takes.
    pub(crate) fn parse(text: &str, limit_max: usize) -> Result<Self, Problem> {
        let mut query = Self::default();
        for (name, value) in form_urlencoded::parse(text.as_bytes()) {
            match &*name {
                "topic" => query.topics.push(value.into_owned()),
                "since" => query.since = Some(parse_since(&value)?),
                "last" => query.last = Some(parse_limit("last", &value, limit_max)?),
                "limit" => query.limit = Some(parse_limit("limit", &value, limit_max)?),
                "reverse" => query.reverse = parse_switch("reverse", &value)?,
                "wait" => query.wait = parse_wait(&value)?,
                "echo" => query.echo = parse_switch("echo", &value)?,
                "envelope" => query.envelope = parse_switch("envelope", &value)?,
                "observe" => query.observe = parse_switch("observe", &value)?,
                "lastEventId" | LAST_EVENT_ID => {
                    query.resumed = Some(&*value).filter(|id| !id.is_empty()).map(resume_point);
                }
                TOKEN => {}
                unknown => return Err(unknown_parameter(unknown)),
            }
        }
        if query.reverse && !query.wait.is_zero() {
            return Err(Problem::bad_request(
                "reverse: reading backwards there is nothing to wait for: leave out either reverse or wait",
            ));
        }
        if query.reverse && query.last.is_some() {
            return Err(Problem::bad_request("reverse: write limit=N in place of last=N to read backwards"));
        }
        Ok(query)
    }

    /// Reads the query of `/ws`, of which only `observe` counts here.
    ///
    /// # Errors
    /// If `observe` is neither `true` nor `false`.
    pub(crate) fn of_protocol(text: &str) -> Result<Self, Problem> {
        let mut query = Self::default();
        for (name, value) in form_urlencoded::parse(text.as_bytes()) {
            if name == "observe" {
                query.observe = parse_switch("observe", &value)?;
            }
        }
        Ok(query)
    }

    /// Returns the same query without a wait.
    pub(crate) fn without_wait(&self) -> Self {
        Self { wait: Duration::ZERO, ..self.clone() }
    }

    /// Returns the start point that the client names.
    pub(crate) fn start_point(&self) -> Option<&Since> {
        self.resumed.as_ref().or(self.since.as_ref())
    }

    /// Returns where a subscription begins.
    pub(crate) fn start(&self) -> Start {
        match (self.start_point(), self.last) {
            (Some(since), _) => Start::Since(since.clone()),
            (None, Some(last)) => Start::Last(last),
            (None, None) => Start::Now,
        }
    }
}

impl Default for Query {
    fn default() -> Self {
        Self {
            topics: Vec::new(),
            since: None,
            last: None,
            limit: None,
            reverse: false,
            wait: Duration::ZERO,
            echo: true,
            envelope: false,
            observe: false,
            resumed: None,
        }
    }
}

fn unknown_parameter(name: &str) -> Problem {
    let shown: String = name.chars().take(NAME_CHARACTERS_MAX).collect();
    let advice = match nearest(name, PARAMETERS.into_iter()) {
        Some(nearest) => format!("did you mean '{nearest}'?"),
        None => format!("there are {}", PARAMETERS.join(", ")),
    };
    Problem::bad_request(format!("there is no parameter '{}': {advice}", shown.escape_debug()))
}

/// Reads the id of the last event that a client has seen. If it is no cursor of this broker, the client receives a gap and what is
/// held: an error would end a browser's `EventSource` for good.
pub(crate) fn resume_point(id: &str) -> Since {
    parse_since(id).unwrap_or(Since::Position(Position { epoch: Epoch::FOREIGN, offset: 0 }))
}

/// Reads a start point; an age is a moment before now.
pub(crate) fn parse_since(text: &str) -> Result<Since, Problem> {
    Since::from_text(text, clock::unix_ms()).map_err(|error| Problem::bad_request(format!("since: {error}")))
}

fn parse_limit(name: &str, text: &str, limit_max: usize) -> Result<usize, Problem> {
    match text.parse() {
        Ok(limit) if (1..=limit_max).contains(&limit) => Ok(limit),
        _ => Err(Problem::bad_request(format!(
            "{name}: expected a whole number from 1 to {limit_max} (limits.history_limit_max)"
        ))),
    }
}

fn parse_wait(text: &str) -> Result<Duration, Problem> {
    let seconds: Option<f64> =
        text.parse().ok().filter(|seconds| (0.0..=WAIT_MAX.as_secs_f64()).contains(seconds));
    match seconds {
        Some(seconds) => Ok(Duration::from_secs_f64(seconds)),
        None => Err(Problem::bad_request("wait: expected seconds from 0 to 60")),
    }
}

fn parse_switch(name: &str, text: &str) -> Result<bool, Problem> {
    match text {
        "true" | "1" | "" => Ok(true),
        "false" | "0" => Ok(false),
        _ => Err(Problem::bad_request(format!("{name}: expected true or false"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Query, Problem> {
        Query::parse(text, 1000)
    }

    #[test]
    fn values_are_read_as_their_names_take_them() {
        let query =
            parse("topic=a.b&topic=c%20d&since=abc:7&limit=5&wait=2.5&echo=false&envelope=true&token=x");
        let query = query.unwrap();
        assert_eq!(query.topics, ["a.b", "c d"]);
        assert_eq!(query.since, Some(Since::Cursor("abc:7".parse().unwrap())));
        assert_eq!((query.limit, query.wait, query.echo), (Some(5), Duration::from_millis(2500), false));
        assert!(query.envelope);
        assert_eq!(parse("since=earliest").unwrap().since, Some(Since::Earliest));
        assert!(parse("reverse=true&since=earliest").unwrap().reverse);
        for moment in ["2026-11-21T06:40:00Z", "2026-11-21T07:40:00%2B01:00", "2026-11-21T07:40:00+01:00"] {
            let query = parse(&format!("since={moment}")).unwrap();
            assert_eq!(query.since, Some(Since::Time(1_795_243_200_000)), "{moment}");
        }
        let before_ms = clock::unix_ms() - 600_000;
        let Some(Since::Time(moment)) = parse("since=10m").unwrap().since else { panic!("a moment") };
        assert!((before_ms..=clock::unix_ms() - 600_000).contains(&moment));
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        for text in [
            "since=",
            "since=x",
            "since=a:-1",
            "since=-10m",
            "since=10min",
            "since=99999999999999999999d",
            "since=2026-11-21",
            "since=1969-12-31T23:59:59Z",
            "reverse=maybe",
            "reverse=true&wait=1",
            "limit=99999999999999999999",
            "limit=0",
            "limit=-1",
            "limit=x",
            "limit=1001",
            "last=0",
            "last=1001",
            "observe=maybe",
            "reverse=true&last=5",
            "wait=61",
            "wait=-1",
            "wait=NaN",
            "echo=maybe",
            "envelope=2",
        ] {
            assert_eq!(parse(text).unwrap_err().code().as_str(), "bad_frame", "{text}");
        }
    }

    #[test]
    fn an_unknown_parameter_is_refused_with_the_nearest_that_exists() {
        for (text, advice) in [
            ("sicne=earliest", "did you mean 'since'?"),
            ("wiat=5", "did you mean 'wait'?"),
            ("lasteventid=a:1", "did you mean 'lastEventId'?"),
            ("x=y", "there are topic, since"),
        ] {
            let problem = parse(text).unwrap_err();
            assert!(format!("{problem:?}").contains(advice), "{problem:?}");
        }
    }

    #[test]
    fn a_subscription_begins_at_since_or_with_the_last() {
        assert_eq!(parse("last=5").unwrap().start(), Start::Last(5));
        assert_eq!(parse("last=5&since=earliest").unwrap().start(), Start::Since(Since::Earliest));
        let resumed = parse("lastEventID=a:1&since=earliest").unwrap();
        assert_eq!(resumed.start(), Start::Since(Since::Cursor("a:1".parse().unwrap())));
        let foreign = Position { epoch: Epoch::FOREIGN, offset: 0 };
        assert_eq!(parse("lastEventId=42").unwrap().start(), Start::Since(Since::Position(foreign)));
    }
}
