//! Channels of the Pusher protocol, and the topics that they are.
//!
//! A channel whose name is a legal topic is that topic, behind the prefix of its app. Any other is `%` and the name, in which the
//! bytes that no topic may have are escaped as `%XX`. This file owns the mapping, in both directions, and the kinds of channels.

use std::borrow::Cow;
use std::fmt::Write;

use fanwire_core::access::OF_USERS;
use fanwire_core::channels::{ESCAPED, below};
use fanwire_protocol::{TOPIC_LEVELS_MAX, Topic, TopicError};

/// The longest name of a channel, in bytes.
pub const CHANNEL_BYTES_MAX: usize = 164;

/// The beginning of the channel of a signed-in user.
pub const OF_USER: &str = "#server-to-user-";

/// The level between the id of the app and the id of the user.
const USER_LEVEL: &str = "user";

/// The level in its place in the topic by which a user is watched.
const WATCH_LEVEL: &str = "watch";

/// The kinds of channels by what a subscription to them needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChannelKind {
    /// A channel that needs no signature.
    Public,
    /// A channel that needs a signature (`private-`).
    Private,
    /// A private channel whose data only its subscribers can read (`private-encrypted-`).
    Encrypted,
    /// A private channel with members (`presence-`).
    Presence,
    /// The channel of one signed-in user (`#server-to-user-`).
    OfUser,
}

/// The reasons why a name is no channel, or its topic cannot exist.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChannelError {
    /// The name is empty or too long.
    #[error("the name of a channel has 1 to {CHANNEL_BYTES_MAX} characters, and this one has {0}")]
    Length(usize),
    /// The name has a character outside the alphabet.
    #[error("'{0}' may not stand in the name of a channel: use letters, digits and -_=@,.;")]
    Character(char),
    /// The topic of the channel would be too long.
    #[error("the topic of this channel is not possible: {0}")]
    Topic(#[from] TopicError),
}

/// Checks the name of a channel.
///
/// # Errors
/// Says what is wrong with it.
pub fn check_channel(name: &str) -> Result<(), ChannelError> {
    let (name, is_legal): (_, fn(char) -> bool) = match name.strip_prefix(OF_USER) {
        Some(user) => (user, |letter| !letter.is_control()),
        None => (name, |letter| letter.is_ascii_alphanumeric() || "-_=@,.;".contains(letter)),
    };
    if let Some(wrong) = name.chars().find(|letter| !is_legal(*letter)) {
        return Err(ChannelError::Character(wrong));
    }
    if name.is_empty() || name.len() > CHANNEL_BYTES_MAX {
        return Err(ChannelError::Length(name.chars().count()));
    }
    Ok(())
}

/// Returns the kind of the channel with this name.
pub fn kind_of(channel: &str) -> ChannelKind {
    for (start, kind) in [
        ("private-encrypted-", ChannelKind::Encrypted),
        ("private-", ChannelKind::Private),
        ("presence-", ChannelKind::Presence),
        (OF_USER, ChannelKind::OfUser),
    ] {
        if channel.starts_with(start) {
            return kind;
        }
    }
    ChannelKind::Public
}

/// Returns the topic of a channel of the app with this id and prefix. The channel must have passed [`check_channel`].
///
/// # Errors
/// If the topic would be too long.
pub fn topic_of(app: &str, prefix: &str, channel: &str) -> Result<Topic, ChannelError> {
    if let Some(user) = channel.strip_prefix(OF_USER) {
        return topic_of_user(app, user);
    }
    let mut levels = if prefix.is_empty() { 0 } else { prefix.split('.').count() };
    let dot = if prefix.is_empty() { "" } else { "." };
    let name = match escaped(channel, &mut levels) {
        Some(escaped) => format!("{prefix}{dot}{ESCAPED}{escaped}"),
        None => format!("{prefix}{dot}{channel}"),
    };
    Ok(Topic::new(&name)?)
}

/// Returns the topic that carries the events of one user of the app with this id.
///
/// # Errors
/// If the topic would be too long.
pub fn topic_of_user(app: &str, user: &str) -> Result<Topic, ChannelError> {
    Ok(Topic::new(&format!("{OF_USERS}.{}.{USER_LEVEL}.{}", level(app), level(user)))?)
}

/// Returns the topic by which the clients that watch a user learn whether it is online.
///
/// # Errors
/// If the topic would be too long.
pub fn topic_of_watched(app: &str, user: &str) -> Result<Topic, ChannelError> {
    Ok(Topic::new(&format!("{OF_USERS}.{}.{WATCH_LEVEL}.{}", level(app), level(user)))?)
}

/// Returns whether the topic is one by which a user is watched. Its events name no channel.
pub(super) fn is_watched(topic: &Topic) -> bool {
    topic.is_reserved() && topic.levels().nth(2) == Some(WATCH_LEVEL)
}

/// Returns `text` as one level of a topic.
fn level(text: &str) -> String {
    let mut level = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'-' | b'_' | b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' => level.push(byte as char),
            other => push_escape(other, &mut level),
        }
    }
    level
}

/// Returns the channel that a topic below `prefix` is: the inverse of [`topic_of`].
pub fn channel_of<'t>(prefix: &str, topic: &'t Topic) -> Cow<'t, str> {
    if topic.is_reserved() {
        let user = topic.as_str().rsplit_once('.').map_or("", |(_, user)| user);
        return Cow::Owned(format!("{OF_USER}{}", unescaped(user)));
    }
    let name = below(prefix, topic).unwrap_or(topic.as_str());
    match name.strip_prefix(ESCAPED) {
        Some(escaped) => Cow::Owned(unescaped(escaped)),
        None => Cow::Borrowed(name),
    }
}

/// Returns the name with the dots escaped that no topic may have; `None` if there are none. `levels` levels stand before it.
fn escaped(name: &str, levels: &mut usize) -> Option<String> {
    let mut out = String::with_capacity(name.len() + 4);
    let mut has_escapes = false;
    let mut is_level_empty = true;
    *levels += 1;
    for (index, letter) in name.char_indices() {
        let is_last = index + letter.len_utf8() == name.len();
        if letter == '.' && !is_level_empty && !is_last && *levels < TOPIC_LEVELS_MAX {
            *levels += 1;
            is_level_empty = true;
            out.push('.');
            continue;
        }
        is_level_empty = false;
        if letter == '.' {
            has_escapes = true;
            push_escape(b'.', &mut out);
        } else {
            out.push(letter);
        }
    }
    has_escapes.then_some(out)
}

fn push_escape(byte: u8, out: &mut String) {
    write!(out, "%{byte:02X}").expect("writing to a string cannot fail");
}

fn unescaped(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        let hex = text.get(at + 1..at + 3).and_then(|hex| u8::from_str_radix(hex, 16).ok());
        match hex.filter(|_| *byte == b'%') {
            Some(decoded) => {
                out.push(decoded);
                at += 3;
            }
            None => {
                out.push(*byte);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_channel_is_the_topic_of_its_name_unless_no_topic_can_have_it() {
        for (channel, topic) in [
            ("orders.new", "orders.new"),
            ("private-a_b=c@d,e;f", "private-a_b=c@d,e;f"),
            ("a..b", "%a.%2Eb"),
            (".a", "%%2Ea"),
            ("a.", "%a%2E"),
            ("...", "%%2E.%2E"),
        ] {
            for (prefix, start) in [("", ""), ("shop", "shop."), ("a.b", "a.b.")] {
                let found = topic_of("1", prefix, channel).unwrap();
                assert_eq!(found.as_str(), format!("{start}{topic}"), "{channel}");
                assert_eq!(channel_of(prefix, &found), channel, "{topic}");
            }
        }
    }

    #[test]
    fn more_levels_than_a_topic_has_are_escaped_and_longer_names_are_refused() {
        let deep = vec!["a"; 40].join(".");
        for prefix in ["", "shop", "a.b.c"] {
            let topic = topic_of("1", prefix, &deep).unwrap();
            assert_eq!(topic.levels().count(), TOPIC_LEVELS_MAX);
            assert_eq!(channel_of(prefix, &topic), deep);
        }
        let dots = ".".repeat(CHANNEL_BYTES_MAX);
        assert!(matches!(topic_of("1", "", &dots), Err(ChannelError::Topic(TopicError::TooLong(_)))));
    }

    #[test]
    fn names_outside_the_alphabet_are_no_channels() {
        for name in ["a b", "#a", "a*", "a>", "$a", "a/b", "ä", "a%20", "a:b", "", &"a".repeat(165)] {
            assert!(check_channel(name).is_err(), "{name}");
        }
        for name in ["a", "-_=@,.;", &"a".repeat(164), "#server-to-user-5", "#server-to-user-ä b"] {
            assert_eq!(check_channel(name), Ok(()), "{name}");
        }
        assert!(check_channel("#server-to-user-").is_err());
    }

    #[test]
    fn the_channel_of_a_user_is_a_topic_of_the_broker() {
        for user in ["5", "ann@example.com", "a.b *>", "ä%41"] {
            let channel = format!("{OF_USER}{user}");
            let topic = topic_of("my.app", "shop", &channel).unwrap();
            assert!(topic.as_str().starts_with("$pusher.my%2Eapp.user."), "{topic}");
            assert_eq!(topic.levels().count(), 4, "{topic}");
            assert_eq!(channel_of("shop", &topic), channel);
        }
    }

    #[test]
    fn names_say_the_kind_of_a_channel() {
        assert_eq!(kind_of("a"), ChannelKind::Public);
        assert_eq!(kind_of("cache-a"), ChannelKind::Public);
        assert_eq!(kind_of("private-a"), ChannelKind::Private);
        assert_eq!(kind_of("private-encrypted-cache-a"), ChannelKind::Encrypted);
        assert_eq!(kind_of("presence-cache-a"), ChannelKind::Presence);
        assert_eq!(kind_of("#server-to-user-5"), ChannelKind::OfUser);
    }
}
