//! The query of a transport's URL.

use std::time::Duration;

use fanwire_protocol::Since;

use crate::clock;
use crate::problem::Problem;

/// The longest wait of a long poll.
const WAIT_MAX: Duration = Duration::from_secs(60);

/// What the query of a topic's URL or of `/stream` may say. Names it does not know are left to others.
#[derive(Debug)]
pub(crate) struct Query {
    pub(crate) topics: Vec<String>,
    pub(crate) since: Option<Since>,
    pub(crate) limit: Option<usize>,
    /// Newest first, back from `since` or from the newest.
    pub(crate) reverse: bool,
    pub(crate) wait: Duration,
    pub(crate) echo: bool,
    /// Whether events carry the whole publication in place of the payload alone.
    pub(crate) envelope: bool,
}

impl Query {
    /// Reads a query as browsers write it (WHATWG URL, `application/x-www-form-urlencoded`).
    ///
    /// # Errors
    /// If a value is not what its name takes.
    pub(crate) fn parse(text: &str) -> Result<Self, Problem> {
        let mut query = Self {
            topics: Vec::new(),
            since: None,
            limit: None,
            reverse: false,
            wait: Duration::ZERO,
            echo: true,
            envelope: false,
        };
        for (name, value) in form_urlencoded::parse(text.as_bytes()) {
            match &*name {
                "topic" => query.topics.push(value.into_owned()),
                "since" => query.since = Some(parse_since(&value)?),
                "limit" => query.limit = Some(parse_limit(&value)?),
                "reverse" => query.reverse = parse_switch("reverse", &value)?,
                "wait" => query.wait = parse_wait(&value)?,
                "echo" => query.echo = parse_switch("echo", &value)?,
                "envelope" => query.envelope = parse_switch("envelope", &value)?,
                _ => {}
            }
        }
        if query.reverse && !query.wait.is_zero() {
            return Err(Problem::bad_request(
                "reverse: reading backwards there is nothing to wait for: leave out either reverse or wait",
            ));
        }
        Ok(query)
    }
}

/// Reads a place to read from; an age is one before now.
pub(crate) fn parse_since(text: &str) -> Result<Since, Problem> {
    Since::from_text(text, clock::unix_ms()).map_err(|error| Problem::bad_request(format!("since: {error}")))
}

fn parse_limit(text: &str) -> Result<usize, Problem> {
    match text.parse() {
        Ok(limit @ 1..) => Ok(limit),
        _ => Err(Problem::bad_request("limit: expected a whole number of at least 1")),
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

    #[test]
    fn values_are_read_as_their_names_take_them() {
        let query =
            Query::parse("topic=a.b&topic=c%20d&since=abc:7&limit=5&wait=2.5&echo=false&envelope=true&x=y");
        let query = query.unwrap();
        assert_eq!(query.topics, ["a.b", "c d"]);
        assert_eq!(query.since, Some(Since::Cursor("abc:7".parse().unwrap())));
        assert_eq!((query.limit, query.wait, query.echo), (Some(5), Duration::from_millis(2500), false));
        assert!(query.envelope);
        assert_eq!(Query::parse("since=earliest").unwrap().since, Some(Since::Earliest));
        assert!(Query::parse("reverse=true&since=earliest").unwrap().reverse);
        for moment in ["2026-11-21T06:40:00Z", "2026-11-21T07:40:00%2B01:00", "2026-11-21T07:40:00+01:00"] {
            let query = Query::parse(&format!("since={moment}")).unwrap();
            assert_eq!(query.since, Some(Since::Time(1_795_243_200_000)), "{moment}");
        }
        let before_ms = clock::unix_ms() - 600_000;
        let Some(Since::Time(moment)) = Query::parse("since=10m").unwrap().since else { panic!("a moment") };
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
            "wait=61",
            "wait=-1",
            "wait=NaN",
            "echo=maybe",
            "envelope=2",
        ] {
            assert_eq!(Query::parse(text).unwrap_err().code().as_str(), "bad_frame", "{text}");
        }
    }
}
