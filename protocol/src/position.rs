//! The position of a publication in its topic.

use std::fmt;
use std::num::NonZeroU64;

/// Names one unbroken numbering of a topic's publications; positions of different epochs say nothing of each other.
///
/// On the wire an epoch is opaque text. The broker writes lower-case hexadecimal; text from elsewhere is accepted and
/// becomes [`Epoch::FOREIGN`], which is the epoch of no topic.
///
/// Kept as its number with the highest bit turned round, so that zero is free to stand for no position at all: the one number
/// that would be zero is no epoch's.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Epoch(NonZeroU64);

/// The number that is no epoch's.
const LEFT_OUT: u64 = 1 << 63;

impl Epoch {
    /// The epoch of no topic: what text becomes that no broker of this kind has written.
    pub const FOREIGN: Epoch =
        Epoch(NonZeroU64::new(LEFT_OUT).expect("the number is a constant other than zero"));

    /// Makes an epoch from a random number; zero and the number left out are taken for one, so that no topic's epoch is ever
    /// foreign.
    pub fn from_random(random: u64) -> Self {
        match Self::from_number(random) {
            Self::FOREIGN => Self::from_number(1),
            epoch => epoch,
        }
    }

    fn from_number(number: u64) -> Self {
        NonZeroU64::new(number ^ LEFT_OUT).map_or(Self::FOREIGN, Self)
    }

    /// Reads an epoch as written on the wire. Text that is not an epoch of this broker's kind is [`Epoch::FOREIGN`].
    pub fn from_wire(text: &str) -> Self {
        let canonical = !text.is_empty()
            && text.len() <= 16
            && !text.starts_with('0')
            && text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
        let number = if canonical { u64::from_str_radix(text, 16).unwrap_or(0) } else { 0 };
        Self::from_number(number)
    }

    /// The number behind the text, for compact encodings.
    pub fn number(self) -> u64 {
        self.0.get() ^ LEFT_OUT
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:x}", self.number())
    }
}

impl fmt::Debug for Epoch {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Epoch({:x})", self.number())
    }
}

/// The position of a publication in its topic. Offsets grow within an epoch but need not be consecutive, so the only
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

    /// Returns the bound directly before this position: everything after the bound begins here. Nothing need be published at the
    /// bound, so it is compared and never looked up.
    #[must_use]
    pub fn bound_before(self) -> Self {
        Self { offset: self.offset.saturating_sub(1), ..self }
    }

    /// Returns the bound directly after this position: everything before the bound ends here. Nothing need be published at the
    /// bound, so it is compared and never looked up.
    #[must_use]
    pub fn bound_after(self) -> Self {
        Self { offset: self.offset.saturating_add(1), ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_epoch_survives_the_wire() {
        for number in [1, 0xabc, LEFT_OUT - 1, LEFT_OUT + 1, u64::MAX] {
            let epoch = Epoch::from_random(number);
            assert_eq!(Epoch::from_wire(&epoch.to_string()), epoch);
        }
    }

    #[test]
    fn text_no_broker_wrote_is_the_epoch_of_no_topic() {
        for text in ["", "0", "01", "xyz", "ABC", "-1", "+1", "11112222333344445", "8000000000000000", "é"] {
            assert_eq!(Epoch::from_wire(text), Epoch::FOREIGN, "{text:?}");
        }
        for number in [0, LEFT_OUT] {
            assert_ne!(Epoch::from_random(number), Epoch::FOREIGN);
        }
    }

    #[test]
    fn no_position_takes_no_more_room_than_one() {
        assert_eq!(size_of::<Option<Position>>(), size_of::<Position>());
    }

    #[test]
    fn positions_of_different_epochs_are_not_compared() {
        let at = |epoch, offset| Position { epoch: Epoch::from_random(epoch), offset };
        assert_eq!(at(1, 5).is_after(at(1, 4)), Some(true));
        assert_eq!(at(1, 4).is_after(at(1, 4)), Some(false));
        assert_eq!(at(2, 9).is_after(at(1, 4)), None);
    }

    #[test]
    fn a_bound_takes_in_its_position_and_nothing_more() {
        let at = |offset| Position { epoch: Epoch::from_random(1), offset };
        assert_eq!(at(7).is_after(at(7).bound_before()), Some(true));
        assert_eq!(at(6).is_after(at(7).bound_before()), Some(false));
        assert_eq!(at(7).bound_after().is_after(at(7)), Some(true));
        assert_eq!(at(7).bound_after().is_after(at(8)), Some(false));
        assert_eq!((at(0).bound_before(), at(u64::MAX).bound_after()), (at(0), at(u64::MAX)));
    }
}
