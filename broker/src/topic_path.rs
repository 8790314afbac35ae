//! Reads topics from URLs: the one reader of `/topics/{topic}` for all transports and for publishing.

use fanwire_protocol::{Pattern, Topic};

use crate::problem::Problem;

/// The path before the topic in its URL.
pub(crate) const PREFIX: &str = "/topics/";

/// The path after the topic in the URL of its presence. A topic that itself ends so has its slash percent-encoded.
const PRESENCE: &str = "/presence";

/// Returns the topic, still encoded, if the path is that of a topic's presence.
pub(crate) fn of_presence(path: &str) -> Option<&str> {
    path.strip_prefix(PREFIX)?.strip_suffix(PRESENCE).filter(|topic| !topic.is_empty())
}

/// Percent-decodes a topic or pattern from the rest of the path (RFC 3986 §2.1). A `+` stays a `+`.
///
/// # Errors
/// If the text is not UTF-8 once decoded, or is not a valid topic or pattern.
pub(crate) fn parse_pattern(encoded: &str) -> Result<Pattern, Problem> {
    let name = decoded(encoded)?;
    Pattern::new(&name).map_err(|error| Problem::bad_topic(&name, error))
}

/// Does the same where only a topic without wildcards is valid.
///
/// # Errors
/// As [`parse_pattern`].
pub(crate) fn parse_topic(encoded: &str) -> Result<Topic, Problem> {
    let name = decoded(encoded)?;
    Topic::new(&name).map_err(|error| Problem::bad_topic(&name, error))
}

fn decoded(encoded: &str) -> Result<String, Problem> {
    let decoded = percent_encoding::percent_decode_str(encoded).decode_utf8();
    decoded
        .map(String::from)
        .map_err(|_| Problem::bad_request("the topic in the URL is not UTF-8 once decoded"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_slash_as_it_stands_makes_it_the_presence_of_a_topic() {
        assert_eq!(of_presence("/topics/a.b/presence"), Some("a.b"));
        assert_eq!(of_presence("/topics/a/b/presence"), Some("a/b"));
        for path in ["/topics/a%2Fpresence", "/topics/presence", "/topics//presence", "/stream/presence"] {
            assert_eq!(of_presence(path), None, "{path}");
        }
    }

    #[test]
    fn a_topic_is_read_as_it_was_meant() {
        assert_eq!(parse_topic("a%2Eb+c%C3%A4").unwrap().as_str(), "a.b+cä");
        assert_eq!(parse_pattern("a.*").unwrap().as_str(), "a.*");
        for (text, code) in
            [("%ff", "bad_frame"), ("", "bad_topic"), ("a%20b", "bad_topic"), ("a.*", "bad_topic")]
        {
            assert_eq!(parse_topic(text).unwrap_err().code().as_str(), code, "{text}");
        }
    }
}
