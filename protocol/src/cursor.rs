//! Cursors: positions in one or many topics as one short text, for URLs, `Last-Event-ID` and long polling.
//!
//! A cursor of one topic reads `<epoch>:<offset>`. A cursor of several is `t.` and base64url of a tag of 40 bits and the offset
//! (LEB128) for each topic. The tag is a hash of the topic's name and epoch, so only the broker, which knows the epoch of a topic, finds
//! the offset of that topic: if the epoch is another one by now, the cursor holds no position for the topic. Of 64 topics, a wrong tag
//! is found once in 2^34 lookups.
//!
//! Clients write another form, because they know topics and positions only: `m.` and base64url of 20 bytes a topic, which are the
//! FNV-1a hash of its name (32 bits), its epoch and its offset (64 bits each, big-endian). The hash only pairs a position with its
//! topic; that the position belongs there is proved by the epoch, which is random per topic.

use std::fmt;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::position::{Epoch, Position};
use crate::topic::Topic;

/// The word that stands in place of a cursor for the beginning of what is still held.
pub const EARLIEST: &str = "earliest";

const TAGGED_PREFIX: &str = "t.";
const MANY_PREFIX: &str = "m.";
const ENTRY_BYTES: usize = 20;

/// The size of a tag in bytes.
const TAG_BYTES: usize = 5;

/// Positions in one or many topics.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor(Positions);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Positions {
    One(Position),
    /// Pairs of the hash of a topic and a position.
    Many(Vec<(u32, Position)>),
    /// Pairs of the tag of a topic with its epoch, and an offset.
    Tagged(Vec<(u64, u64)>),
}

/// An error of a text that is not a cursor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this is no cursor: pass one back exactly as the broker gave it, or 'earliest'")]
pub struct CursorError;

impl Cursor {
    /// The cursor of a stream over one topic.
    pub fn one(position: Position) -> Self {
        Self(Positions::One(position))
    }

    /// The cursor of a stream over several topics. One entry gives the same as [`Cursor::one`].
    pub fn many<'a>(positions: impl IntoIterator<Item = (&'a Topic, Position)> + Clone) -> Self {
        let tagged: Vec<_> = positions
            .clone()
            .into_iter()
            .map(|(topic, position)| (tag(topic, position.epoch), position.offset))
            .collect();
        let mut tags: Vec<u64> = tagged.iter().map(|(tag, _)| *tag).collect();
        tags.sort_unstable();
        if tagged.len() > 1 && tags.windows(2).all(|pair| pair[0] != pair[1]) {
            return Self(Positions::Tagged(tagged));
        }
        let entries: Vec<_> =
            positions.into_iter().map(|(topic, position)| (topic_hash(topic), position)).collect();
        match entries.as_slice() {
            [(_, position)] => Self::one(*position),
            _ => Self(Positions::Many(entries)),
        }
    }

    /// Returns the maximum length of the text of a cursor over `topics` topics, in whichever form.
    pub const fn text_bytes_max(topics: usize) -> usize {
        // The longest text of one position, or the form of clients, which is longer than the tags.
        let one = 16 + 1 + 20;
        let many = MANY_PREFIX.len() + (topics * ENTRY_BYTES).div_ceil(3) * 4;
        if one > many { one } else { many }
    }

    /// The position the cursor holds for `topic`, whose epoch is `epoch`; where it holds none, one of [`Epoch::FOREIGN`].
    pub fn position_in(&self, topic: &Topic, epoch: Epoch) -> Position {
        let found = match &self.0 {
            Positions::Tagged(entries) => {
                let tag = tag(topic, epoch);
                let offset = entries.iter().find(|(entry, _)| *entry == tag).map(|(_, offset)| *offset);
                offset.map(|offset| Position { epoch, offset })
            }
            _ => self.untagged_position_in(topic),
        };
        found.unwrap_or(Position { epoch: Epoch::FOREIGN, offset: 0 })
    }

    /// Returns whether [`Cursor::position_in`] depends on the epoch.
    pub fn has_tags(&self) -> bool {
        matches!(self.0, Positions::Tagged(_))
    }

    /// The position that the cursor names for `topic`, if it can be read without the topic's epoch.
    pub fn untagged_position_in(&self, topic: &Topic) -> Option<Position> {
        match &self.0 {
            Positions::One(position) => Some(*position),
            Positions::Many(entries) => {
                let hash = topic_hash(topic);
                entries.iter().find(|(entry, _)| *entry == hash).map(|(_, position)| *position)
            }
            Positions::Tagged(_) => None,
        }
    }
}

/// The lowest 40 bits of a hash of a topic and its epoch: FNV-1a of 64 bits, and then the last steps of MurmurHash3, so that every byte
/// changes all bits. Stable over versions and machines, as cursors outlive both.
fn tag(topic: &Topic, epoch: Epoch) -> u64 {
    let epoch = epoch.number().to_be_bytes();
    let bytes = topic.as_str().bytes().chain(epoch);
    let mut hash = bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    for factor in [0xff51_afd7_ed55_8ccd, 0xc4ce_b9fe_1a85_ec53] {
        hash = (hash ^ (hash >> 33)).wrapping_mul(factor);
    }
    (hash ^ (hash >> 33)) & ((1 << (8 * TAG_BYTES)) - 1)
}

/// FNV-1a, 32 bits (<https://www.rfc-editor.org/rfc/rfc9923>): stable over versions and machines, as cursors outlive both.
fn topic_hash(topic: &Topic) -> u32 {
    topic.as_str().bytes().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

/// Appends a number in LEB128: seven bits a byte, the lowest first, and a mark on all but the last.
fn write_number(mut number: u64, bytes: &mut Vec<u8>) {
    while number > 0x7f {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

/// Reads a number that [`write_number`] has written. Returns `None` if there is none.
fn read_number(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for shift in (0..u64::BITS).step_by(7) {
        let (first, rest) = bytes.split_first()?;
        *bytes = rest;
        let part = u64::from(first & 0x7f);
        if part.leading_zeros() < shift {
            return None;
        }
        number |= part << shift;
        if first & 0x80 == 0 {
            return Some(number);
        }
    }
    None
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
            Positions::Tagged(entries) => {
                let mut bytes = Vec::with_capacity(entries.len() * (TAG_BYTES + 3));
                for (tag, offset) in entries {
                    bytes.extend_from_slice(&tag.to_be_bytes()[8 - TAG_BYTES..]);
                    write_number(*offset, &mut bytes);
                }
                write!(formatter, "{TAGGED_PREFIX}{}", URL_SAFE_NO_PAD.encode(bytes))
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
        if let Some(encoded) = text.strip_prefix(TAGGED_PREFIX) {
            return tagged_from_base64(encoded);
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

fn tagged_from_base64(encoded: &str) -> Result<Cursor, CursorError> {
    let bytes = URL_SAFE_NO_PAD.decode(encoded).map_err(|_| CursorError)?;
    let (mut rest, mut entries) = (bytes.as_slice(), Vec::new());
    while !rest.is_empty() {
        let (tag, after) = rest.split_first_chunk::<TAG_BYTES>().ok_or(CursorError)?;
        rest = after;
        let tag = tag.iter().fold(0, |tag, byte| (tag << 8) | u64::from(*byte));
        entries.push((tag, read_number(&mut rest).ok_or(CursorError)?));
    }
    Ok(Cursor(Positions::Tagged(entries)))
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
        assert_eq!(read.position_in(&a, Epoch::from_random(1)), at(1, 2));
        assert_eq!(read.position_in(&b, Epoch::from_random(u64::MAX)), at(u64::MAX, u64::MAX));
    }

    #[test]
    fn a_cursor_holds_no_position_for_another_topic_or_another_epoch() {
        let (a, b) = (topic("a"), topic("b"));
        let many = Cursor::many([(&a, at(1, 2)), (&b, at(3, 4))]);
        for (name, epoch) in [("c", 1), ("a", 3), ("b", 1), ("a", 2), ("a", 1 << 40)] {
            let found = many.position_in(&topic(name), Epoch::from_random(epoch));
            assert_eq!(found.epoch, Epoch::FOREIGN, "{name} under {epoch}");
        }
    }

    #[test]
    fn the_forms_of_several_topics_are_read_for_ever() {
        let (a, b) = (topic("a"), topic("b"));
        let epoch = Epoch::from_random(1);
        let of_clients = "m.5AwpLAAAAAAAAAABAAAAAAAAAALnDC3lAAAAAAAAAAMAAAAAAAAABA";
        let read: Cursor = of_clients.parse().unwrap();
        assert_eq!((read.position_in(&a, epoch), read.position_in(&b, epoch)), (at(1, 2), at(3, 4)));
        assert_eq!(read.to_string(), of_clients);
        let of_the_broker = Cursor::many([(&a, at(1, 2)), (&b, at(3, 300))]).to_string();
        assert_eq!(of_the_broker, "t.T3WOJ00CAiLIFRWsAg");
    }

    #[test]
    fn a_cursor_over_many_topics_is_short() {
        let topics: Vec<Topic> =
            (0..64).map(|number| topic(&format!("{number}.{}", "x".repeat(200)))).collect();
        for (offset, bytes) in [(100, 514), (10_000, 600), (1_000_000, 685), (u64::MAX, 1_282)] {
            let positions =
                topics.iter().enumerate().map(|(number, topic)| (topic, at(number as u64 + 1, offset)));
            let text = Cursor::many(positions).to_string();
            assert_eq!(text.len(), bytes, "offset {offset}");
            assert!(text.len() <= Cursor::text_bytes_max(64));
        }
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
            "t.!",
            "t.AAAA",
            "t.AAAAAAA",
            "t.AAAAAAD___________8C",
        ] {
            assert_eq!(text.parse::<Cursor>(), Err(CursorError), "{text:?}");
        }
    }
}
