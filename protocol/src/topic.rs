//! Topics and patterns: names that are checked once and valid ever after.
//!
//! This file owns the grammar of names and the matching of one pattern against one topic. Matching a topic against
//! many patterns at once is the broker's business.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// The longest name of a topic or pattern, in bytes of UTF-8.
pub const TOPIC_BYTES_MAX: usize = 255;

/// The largest number of levels in a name.
pub const TOPIC_LEVELS_MAX: usize = 32;

/// The name messages are published to: 1 to 255 bytes of UTF-8 in levels separated by `.`.
///
/// Cloning is cheap: all clones share one allocation.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Topic(Arc<str>);

/// A topic, or a topic with wildcards: `*` stands for exactly one level, `>` as the last level for one or more.
///
/// Wildcards at the first level do not match topics whose first level starts with `$`; those are the broker's own.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Pattern {
    text: Arc<str>,
    wild: bool,
}

/// An error of a name that is neither a topic nor a pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TopicError {
    /// The name has no bytes at all.
    #[error("a topic needs at least one character")]
    Empty,
    /// The name is longer than [`TOPIC_BYTES_MAX`].
    #[error("a topic is at most {TOPIC_BYTES_MAX} bytes of UTF-8, this one has {0}")]
    TooLong(usize),
    /// The name has more levels than [`TOPIC_LEVELS_MAX`].
    #[error("a topic has at most {TOPIC_LEVELS_MAX} levels, this one has {0}")]
    TooManyLevels(usize),
    /// Two dots in a row, or a dot at either end.
    #[error("a topic has no empty level: remove the leading, trailing or doubled '.'")]
    EmptyLevel,
    /// White space or a control character.
    #[error("a topic has no white space and no control characters")]
    ForbiddenCharacter,
    /// A wildcard where a plain topic is needed.
    #[error("'*' and '>' are wildcards: they may be subscribed to, but not published to or read from")]
    Wildcard,
    /// A wildcard that is not a whole level, or `>` before the last level.
    #[error("'*' must be a whole level, and '>' the whole last level, as in 'orders.*.paid' or 'chat.>'")]
    MisplacedWildcard,
}

impl Topic {
    /// Checks `name` and makes it a topic.
    ///
    /// # Errors
    /// Says which rule the name breaks.
    pub fn new(name: &str) -> Result<Self, TopicError> {
        if check_name(name)? {
            return Err(TopicError::Wildcard);
        }
        Ok(Self(Arc::from(name)))
    }

    /// The name as it was given.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The levels from first to last.
    pub fn levels(&self) -> impl Iterator<Item = &str> {
        Levels::of(&self.0)
    }

    /// Whether the topic is the broker's own (its first level starts with `$`): clients may not publish to it.
    pub fn is_reserved(&self) -> bool {
        self.0.starts_with('$')
    }
}

impl Pattern {
    /// Checks `name` and makes it a pattern; a plain topic is a pattern that matches itself only.
    ///
    /// # Errors
    /// Says which rule the name breaks.
    pub fn new(name: &str) -> Result<Self, TopicError> {
        let wild = check_name(name)?;
        Ok(Self { text: Arc::from(name), wild })
    }

    /// The pattern as it was given.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The levels from first to last, wildcards among them.
    pub fn levels(&self) -> impl Iterator<Item = &str> {
        Levels::of(&self.text)
    }

    /// Whether the pattern has a wildcard, so that it may match more than one topic.
    pub fn is_wild(&self) -> bool {
        self.wild
    }

    /// The one topic this pattern matches, or `None` if it has a wildcard.
    pub fn to_topic(&self) -> Option<Topic> {
        (!self.wild).then(|| Topic(self.text.clone()))
    }

    /// Whether `topic` is one of the topics this pattern stands for.
    pub fn matches(&self, topic: &Topic) -> bool {
        if !self.wild {
            return *self.text == *topic.0;
        }
        if topic.is_reserved() && !self.text.starts_with('$') {
            return false;
        }
        let mut names = topic.levels();
        for level in self.levels() {
            match (level, names.next()) {
                (">", Some(_)) => return true,
                ("*", Some(_)) => {}
                (level, Some(name)) if level == name => {}
                _ => return false,
            }
        }
        names.next().is_none()
    }
}

impl From<Topic> for Pattern {
    fn from(topic: Topic) -> Self {
        Self { text: topic.0, wild: false }
    }
}

/// The levels of a name. `str::split` does the same, but levels are so short that looking for each dot costs it more than
/// the way there.
struct Levels<'a> {
    rest: Option<&'a str>,
}

impl<'a> Levels<'a> {
    fn of(name: &'a str) -> Self {
        Self { rest: Some(name) }
    }
}

impl<'a> Iterator for Levels<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        let rest = self.rest?;
        let Some(dot) = rest.bytes().position(|byte| byte == b'.') else { return self.rest.take() };
        self.rest = Some(&rest[dot + 1..]);
        Some(&rest[..dot])
    }
}

/// Checks the rules topics and patterns share and says whether the name has a wildcard.
fn check_name(name: &str) -> Result<bool, TopicError> {
    if name.is_empty() {
        return Err(TopicError::Empty);
    }
    if name.len() > TOPIC_BYTES_MAX {
        return Err(TopicError::TooLong(name.len()));
    }
    let is_plain = is_plain_ascii(name);
    let mut wild = false;
    let mut levels = 0;
    let mut after_tail = false;
    for level in Levels::of(name) {
        levels += 1;
        if level.is_empty() {
            return Err(TopicError::EmptyLevel);
        }
        if after_tail {
            return Err(TopicError::MisplacedWildcard);
        }
        match level {
            "*" => wild = true,
            ">" => (wild, after_tail) = (true, true),
            _ if is_plain => {}
            _ => check_plain_level(level)?,
        }
    }
    if levels > TOPIC_LEVELS_MAX {
        return Err(TopicError::TooManyLevels(levels));
    }
    Ok(wild)
}

/// Whether every character is one that may stand anywhere in a name, as in nearly all names. All bytes are looked at, which
/// compiles to vector instructions.
fn is_plain_ascii(name: &str) -> bool {
    name.bytes()
        .fold(true, |plain, byte| plain & matches!(byte, 0x21..0x7f) & (byte != b'*') & (byte != b'>'))
}

fn check_plain_level(level: &str) -> Result<(), TopicError> {
    for character in level.chars() {
        if character == '*' || character == '>' {
            return Err(TopicError::MisplacedWildcard);
        }
        if character.is_whitespace() || character.is_control() {
            return Err(TopicError::ForbiddenCharacter);
        }
    }
    Ok(())
}

impl FromStr for Topic {
    type Err = TopicError;

    fn from_str(name: &str) -> Result<Self, TopicError> {
        Self::new(name)
    }
}

impl FromStr for Pattern {
    type Err = TopicError;

    fn from_str(name: &str) -> Result<Self, TopicError> {
        Self::new(name)
    }
}

impl fmt::Display for Topic {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.text)
    }
}

impl fmt::Debug for Topic {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Topic({})", self.0)
    }
}

impl fmt::Debug for Pattern {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Pattern({})", self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(pattern: &str, topic: &str, expected: bool) {
        let pattern = Pattern::new(pattern).unwrap();
        let topic = Topic::new(topic).unwrap();
        assert_eq!(pattern.matches(&topic), expected, "{pattern} against {topic}");
    }

    #[test]
    fn star_stands_for_exactly_one_level() {
        check("orders.*.paid", "orders.berlin.paid", true);
        check("orders.*.paid", "orders.paid", false);
        check("orders.*.paid", "orders.a.b.paid", false);
        check("*", "orders", true);
        check("*", "orders.paid", false);
        check("orders.*", "orders", false);
    }

    #[test]
    fn tail_stands_for_one_or_more_levels() {
        check("chat.>", "chat.a", true);
        check("chat.>", "chat.a.b.c", true);
        check("chat.>", "chat", false);
        check(">", "anything.at.all", true);
    }

    #[test]
    fn wildcards_leave_the_brokers_own_topics_alone() {
        check(">", "$sys.stats", false);
        check("*.stats", "$sys.stats", false);
        check("$sys.>", "$sys.stats", true);
        check("a.*", "a.$b", true);
    }

    #[test]
    fn names_that_break_a_rule_are_refused_with_that_rule() {
        let long = "a".repeat(256);
        let deep = vec!["a"; 33].join(".");
        for (name, expected) in [
            ("", TopicError::Empty),
            (long.as_str(), TopicError::TooLong(256)),
            (deep.as_str(), TopicError::TooManyLevels(33)),
            (".a", TopicError::EmptyLevel),
            ("a.", TopicError::EmptyLevel),
            ("a..b", TopicError::EmptyLevel),
            ("a b", TopicError::ForbiddenCharacter),
            ("a\u{a0}b", TopicError::ForbiddenCharacter),
            ("a\nb", TopicError::ForbiddenCharacter),
            ("a\u{0}", TopicError::ForbiddenCharacter),
            ("a*", TopicError::MisplacedWildcard),
            (">.a", TopicError::MisplacedWildcard),
            ("a.>b", TopicError::MisplacedWildcard),
        ] {
            assert_eq!(Pattern::new(name), Err(expected), "{name:?}");
            assert_eq!(Topic::new(name), Err(expected), "{name:?}");
        }
        assert_eq!(Topic::new("a.*"), Err(TopicError::Wildcard));
        assert!(Topic::new(&vec!["a"; 32].join(".")).is_ok());
        assert!(Topic::new(&"ä".repeat(127)).is_ok());
    }
}
