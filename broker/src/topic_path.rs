//! Topics in URLs: the one reading of `/topics/{topic}` for every transport and for publishing.

use fanwire_protocol::{Pattern, Topic};

use crate::problem::Problem;

/// What stands before the topic in its URL.
pub(crate) const PREFIX: &str = "/topics/";

/// What stands after the topic in the URL of its presence. A topic that ends so has its slash percent-encoded.
const PRESENCE: &str = "/presence";

/// The topic, still encoded, whose presence this path is.
pub(crate) fn of_presence(path: &str) -> Option<&str> {
    path.strip_prefix(PREFIX)?.strip_suffix(PRESENCE).filter(|topic| !topic.is_empty())
}

/// Reads a topic or pattern from the rest of the path, percent-encoding undone (RFC 3986 §2.1). A `+` stays a `+`.
///
/// # Errors
/// If it is not UTF-8 once decoded, or breaks a rule of names.
pub(crate) fn parse_pattern(encoded: &str) -> Result<Pattern, Problem> {
    let name = decoded(encoded)?;
    Pattern::new(&name).map_err(|error| Problem::bad_topic(&name, error))
}

/// Like [`parse_pattern`], for a place where only a plain topic can be meant.
///
/// # Errors
/// If it is not UTF-8 once decoded, or breaks a rule of names.
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
