//! Where a publication stands in its topic.

use std::fmt;

/// Names one unbroken numbering of a topic's publications; positions of different epochs say nothing of each other.
///
/// On the wire an epoch is opaque text. The broker writes lower-case hexadecimal; text from elsewhere is accepted and
/// becomes [`Epoch::FOREIGN`], which is the epoch of no topic.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Epoch(u64);

impl Epoch {
    /// The epoch of no topic: what text becomes that no broker of this kind has written.
    pub const FOREIGN: Epoch = Epoch(0);

    /// Makes an epoch from a random number; zero is taken for one, so that no topic's epoch is ever foreign.
    pub fn from_random(random: u64) -> Self {
        Self(random.max(1))
    }

    /// Reads an epoch as written on the wire. Text that is not an epoch of this broker's kind is [`Epoch::FOREIGN`].
    pub fn from_wire(text: &str) -> Self {
        let canonical = !text.is_empty()
            && text.len() <= 16
            && !text.starts_with('0')
            && text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
        let number = if canonical { u64::from_str_radix(text, 16).unwrap_or(0) } else { 0 };
        Self(number)
    }

    /// The number behind the text, for compact encodings.
    pub fn number(self) -> u64 {
        self.0
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:x}", self.0)
    }
}

impl fmt::Debug for Epoch {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Epoch({:x})", self.0)
    }
}

/// Where a publication stands in its topic. Offsets grow within an epoch but need not be consecutive, so the only
/// question to ask of two positions is whether one is after the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Position {
    /// The numbering the offset belongs to.
    pub epoch: Epoch,
    /// The number within the epoch; 0 is before the first publication.
    pub offset: u64,
}

impl Position {
    /// Whether `self` comes after `other`: `None` when they are of different epochs and so cannot be compared.
    pub fn is_after(self, other: Position) -> Option<bool> {
        (self.epoch == other.epoch).then_some(self.offset > other.offset)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_epoch_survives_the_wire() {
        for number in [1, 0xabc, u64::MAX] {
            let epoch = Epoch::from_random(number);
            assert_eq!(Epoch::from_wire(&epoch.to_string()), epoch);
        }
    }

    #[test]
    fn text_no_broker_wrote_is_the_epoch_of_no_topic() {
        for text in ["", "0", "01", "xyz", "ABC", "-1", "+1", "11112222333344445", "é"] {
            assert_eq!(Epoch::from_wire(text), Epoch::FOREIGN, "{text:?}");
        }
        assert_ne!(Epoch::from_random(0), Epoch::FOREIGN);
    }

    #[test]
    fn positions_of_different_epochs_are_not_compared() {
        let at = |epoch, offset| Position { epoch: Epoch::from_random(epoch), offset };
        assert_eq!(at(1, 5).is_after(at(1, 4)), Some(true));
        assert_eq!(at(1, 4).is_after(at(1, 4)), Some(false));
        assert_eq!(at(2, 9).is_after(at(1, 4)), None);
    }
}
