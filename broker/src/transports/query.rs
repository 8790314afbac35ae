//! The query of a transport's URL.

use std::time::Duration;

use fanwire_core::MessageFormat;
use fanwire_protocol::{EARLIEST, Since};

use crate::problem::Problem;

/// The longest wait of a long poll.
const WAIT_MAX: Duration = Duration::from_secs(60);

/// What the query of a topic's URL or of `/stream` may say. Names it does not know are left to others.
#[derive(Debug)]
pub(crate) struct Query {
    pub(crate) topics: Vec<String>,
    pub(crate) since: Option<Since>,
    pub(crate) limit: Option<usize>,
    pub(crate) wait: Duration,
    pub(crate) echo: bool,
    pub(crate) format: MessageFormat,
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
            wait: Duration::ZERO,
            echo: true,
            format: MessageFormat::Bare,
        };
        for (name, value) in form_urlencoded::parse(text.as_bytes()) {
            match &*name {
                "topic" => query.topics.push(value.into_owned()),
                "since" => query.since = Some(parse_since(&value)?),
                "limit" => query.limit = Some(parse_limit(&value)?),
                "wait" => query.wait = parse_wait(&value)?,
                "echo" => query.echo = parse_switch("echo", &value)?,
                "envelope" if parse_switch("envelope", &value)? => query.format = MessageFormat::Envelope,
                _ => {}
            }
        }
        Ok(query)
    }
}

/// Reads a cursor or the word `earliest`.
pub(crate) fn parse_since(text: &str) -> Result<Since, Problem> {
    if text == EARLIEST {
        return Ok(Since::Earliest);
    }
    text.parse().map(Since::Cursor).map_err(|error| Problem::bad_request(format!("since: {error}")))
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
        assert_eq!(query.format, MessageFormat::Envelope);
        assert_eq!(Query::parse("since=earliest").unwrap().since, Some(Since::Earliest));
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        for text in [
            "since=",
            "since=x",
            "since=a:-1",
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
