//! Cursors: positions in one or many topics as one short text, for URLs, `Last-Event-ID` and long polling.
//!
//! A cursor of one topic reads `<epoch>:<offset>`. A cursor of several is `m.` and base64url of 20 bytes a topic:
//! the FNV-1a hash of its name (32 bits), its epoch and its offset (64 bits each, big-endian). The hash only pairs a
//! position with its topic; that the position belongs there is proved by the epoch, which is random per topic.

use std::fmt;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::position::{Epoch, Position};
use crate::topic::Topic;

/// The word that stands in place of a cursor for the beginning of what is still held.
pub const EARLIEST: &str = "earliest";

const MANY_PREFIX: &str = "m.";
const ENTRY_BYTES: usize = 20;

/// Positions in one or many topics.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor(Positions);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Positions {
    One(Position),
    Many(Vec<(u32, Position)>),
}

/// Why a text is not a cursor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this is no cursor: pass one back exactly as the broker gave it, or 'earliest'")]
pub struct CursorError;

impl Cursor {
    /// The cursor of a stream over one topic.
    pub fn one(position: Position) -> Self {
        Self(Positions::One(position))
    }

    /// The cursor of a stream over several topics. One entry gives the same as [`Cursor::one`].
    pub fn many<'a>(positions: impl IntoIterator<Item = (&'a Topic, Position)>) -> Self {
        let entries: Vec<_> =
            positions.into_iter().map(|(topic, position)| (topic_hash(topic), position)).collect();
        match entries.as_slice() {
            [(_, position)] => Self::one(*position),
            _ => Self(Positions::Many(entries)),
        }
    }

    /// The position the cursor holds for `topic`; where it holds none, one of [`Epoch::FOREIGN`].
    pub fn position_in(&self, topic: &Topic) -> Position {
        let found = match &self.0 {
            Positions::One(position) => Some(*position),
            Positions::Many(entries) => {
                let hash = topic_hash(topic);
                entries.iter().find(|(entry, _)| *entry == hash).map(|(_, position)| *position)
            }
        };
        found.unwrap_or(Position { epoch: Epoch::FOREIGN, offset: 0 })
    }
}

/// FNV-1a, 32 bits (<https://www.rfc-editor.org/rfc/rfc9923>): stable over versions and machines, as cursors outlive both.
fn topic_hash(topic: &Topic) -> u32 {
    topic.as_str().bytes().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

impl fmt::Display for Cursor {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Positions::One(position) => write!(formatter, "{}:{}", position.epoch, position.offset),
            Positions::Many(entries) => {
                let mut bytes = Vec::with_capacity(entries.len() * ENTRY_BYTES);
                for (hash, position) in entries {
                    bytes.extend_from_slice(&hash.to_be_bytes());
                    bytes.extend_from_slice(&position.epoch.number().to_be_bytes());
                    bytes.extend_from_slice(&position.offset.to_be_bytes());
                }
                write!(formatter, "{MANY_PREFIX}{}", URL_SAFE_NO_PAD.encode(bytes))
            }
        }
    }
}

impl FromStr for Cursor {
    type Err = CursorError;

    fn from_str(text: &str) -> Result<Self, CursorError> {
        if let Some(encoded) = text.strip_prefix(MANY_PREFIX) {
            return many_from_base64(encoded);
        }
        let (epoch, offset) = text.split_once(':').ok_or(CursorError)?;
        let plain_number = !offset.is_empty() && offset.bytes().all(|byte| byte.is_ascii_digit());
        if !plain_number || epoch.is_empty() {
            return Err(CursorError);
        }
        let offset = offset.parse().map_err(|_| CursorError)?;
        Ok(Self::one(Position { epoch: Epoch::from_wire(epoch), offset }))
    }
}

fn many_from_base64(encoded: &str) -> Result<Cursor, CursorError> {
    let bytes = URL_SAFE_NO_PAD.decode(encoded).map_err(|_| CursorError)?;
    let (entries, rest) = bytes.as_chunks::<ENTRY_BYTES>();
    if !rest.is_empty() {
        return Err(CursorError);
    }
    let number = |bytes: &[u8]| bytes.iter().fold(0u64, |number, byte| (number << 8) | u64::from(*byte));
    let entries = entries
        .iter()
        .map(|entry| {
            let epoch = Epoch::from_wire(&format!("{:x}", number(&entry[4..12])));
            (number(&entry[..4]) as u32, Position { epoch, offset: number(&entry[12..]) })
        })
        .collect();
    Ok(Cursor(Positions::Many(entries)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(epoch: u64, offset: u64) -> Position {
        Position { epoch: Epoch::from_random(epoch), offset }
    }

    fn topic(name: &str) -> Topic {
        name.parse().unwrap()
    }

    #[test]
    fn a_cursor_survives_the_wire() {
        let (a, b) = (topic("a"), topic("b.c"));
        let one = Cursor::one(at(0xabc, 17));
        assert_eq!(one.to_string(), "abc:17");
        assert_eq!(one.to_string().parse(), Ok(one));
        let many = Cursor::many([(&a, at(1, 2)), (&b, at(u64::MAX, u64::MAX))]);
        let read: Cursor = many.to_string().parse().unwrap();
        assert_eq!(read, many);
        assert_eq!(read.position_in(&a), at(1, 2));
        assert_eq!(read.position_in(&b), at(u64::MAX, u64::MAX));
    }

    #[test]
    fn a_topic_the_cursor_does_not_know_has_a_position_of_no_epoch() {
        let many = Cursor::many([(&topic("a"), at(1, 2)), (&topic("b"), at(3, 4))]);
        assert_eq!(many.position_in(&topic("c")).epoch, Epoch::FOREIGN);
    }

    #[test]
    fn edited_cursors_are_refused() {
        for text in [
            "",
            ":",
            "abc",
            "abc:",
            ":1",
            "abc:-1",
            "abc:+1",
            "abc:1.5",
            "abc:99999999999999999999",
            "m.AAAA",
            "m.!",
        ] {
            assert_eq!(text.parse::<Cursor>(), Err(CursorError), "{text:?}");
        }
    }
}
