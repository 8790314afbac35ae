//! The stamp at the head of every payload: who published it, as which number of its stream, and when it was due.
//!
//! A stamp is 16 printable bytes that no encoding escapes, so it looks the same in JSON, MessagePack, Server-Sent
//! Events and bare frames, and the smallest payload is 16 bytes. This file does not know what carries it.

/// The length of a stamp, and so of the smallest payload, in bytes.
pub(crate) const STAMP_BYTES: usize = 16;

/// The largest number of publishers a stamp can tell apart.
pub(crate) const PUBLISHERS_MAX: usize = 1 << (6 * PUBLISHER_DIGITS);

/// The largest number of publications one publisher can send to one topic.
pub(crate) const SEQUENCE_MAX: u64 = (1 << (6 * SEQUENCE_DIGITS)) - 1;

const PUBLISHER_DIGITS: usize = 2;
const SEQUENCE_DIGITS: usize = 5;
const TIME_DIGITS: usize = 7;

/// Neither byte occurs in the digits, nor in the names and envelopes that surround a payload.
const MARKER: [u8; 2] = *b"~~";

const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
const NO_DIGIT: u8 = 0xff;
const VALUES: [u8; 256] = digit_values();

/// The stamp of one publication.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stamp {
    /// The number of the publisher.
    pub(crate) publisher: u16,
    /// The number of earlier publications of this publisher to this topic.
    pub(crate) sequence: u32,
    /// The time at which the publication was due, in nanoseconds since the run began; at most 73 minutes.
    pub(crate) due_nanos: u64,
}

impl Stamp {
    /// The stamp as it stands at the head of a payload.
    pub(crate) fn to_bytes(self) -> [u8; STAMP_BYTES] {
        let mut bytes = [0; STAMP_BYTES];
        bytes[..2].copy_from_slice(&MARKER);
        write_digits(&mut bytes[2..4], u64::from(self.publisher));
        write_digits(&mut bytes[4..9], u64::from(self.sequence));
        write_digits(&mut bytes[9..16], self.due_nanos);
        bytes
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let digits = bytes.strip_prefix(&MARKER)?.get(..STAMP_BYTES - MARKER.len())?;
        let (publisher, digits) = digits.split_at(PUBLISHER_DIGITS);
        let (sequence, time) = digits.split_at(SEQUENCE_DIGITS);
        debug_assert_eq!(time.len(), TIME_DIGITS);
        Some(Self {
            publisher: u16::try_from(read_digits(publisher)?).ok()?,
            sequence: u32::try_from(read_digits(sequence)?).ok()?,
            due_nanos: read_digits(time)?,
        })
    }
}

/// Finds stamps in messages. Remembers how far from the end of a message the last one stood, since the envelopes of
/// one run differ in the digits before the payload only, and looks there first.
#[derive(Debug, Default)]
pub(crate) struct StampFinder {
    from_end: usize,
}

impl StampFinder {
    /// The stamp inside `message`, envelope and all, or `None` when it has none.
    pub(crate) fn find(&mut self, message: &[u8]) -> Option<Stamp> {
        if let Some(at) = message.len().checked_sub(self.from_end)
            && let Some(stamp) = Stamp::from_bytes(&message[at..])
        {
            return Some(stamp);
        }
        let at = memchr::memmem::find(message, &MARKER)?;
        self.from_end = message.len() - at;
        Stamp::from_bytes(&message[at..])
    }
}

const fn digit_values() -> [u8; 256] {
    let mut values = [NO_DIGIT; 256];
    let mut value = 0;
    while value < DIGITS.len() {
        values[DIGITS[value] as usize] = value as u8;
        value += 1;
    }
    values
}

/// Writes `number` from the lowest digit backwards; what does not fit into `out` is cut off.
fn write_digits(out: &mut [u8], mut number: u64) {
    for byte in out.iter_mut().rev() {
        *byte = DIGITS[(number & 63) as usize];
        number >>= 6;
    }
}

fn read_digits(digits: &[u8]) -> Option<u64> {
    let mut number = 0;
    let mut seen = 0;
    for digit in digits {
        let value = VALUES[usize::from(*digit)];
        seen |= value;
        number = (number << 6) | u64::from(value & 63);
    }
    // Every digit is below 64, so the high bit is set only if one was none.
    (seen != NO_DIGIT).then_some(number)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_stamp_is_found_wherever_it_stands(
            publisher in 0..PUBLISHERS_MAX as u16,
            sequence in 0..=SEQUENCE_MAX as u32,
            due_nanos in 0u64..1 << 42,
            before in "[ -}]{0,60}",
            after in "[ -}]{0,60}",
            from_end in 0usize..200,
        ) {
            let stamp = Stamp { publisher, sequence, due_nanos };
            let mut message = before.into_bytes();
            message.extend_from_slice(&stamp.to_bytes());
            message.extend_from_slice(after.as_bytes());
            let mut finder = StampFinder { from_end };
            prop_assert_eq!(finder.find(&message), Some(stamp));
            prop_assert_eq!(finder.find(&message), Some(stamp));
        }

        #[test]
        fn messages_without_a_stamp_have_none(message in "[ -}]{0,80}") {
            prop_assert_eq!(StampFinder::default().find(message.as_bytes()), None);
        }
    }

    #[test]
    fn a_cut_or_damaged_stamp_is_none() {
        let whole = Stamp { publisher: 1, sequence: 2, due_nanos: 3 }.to_bytes();
        for length in 0..STAMP_BYTES {
            assert_eq!(StampFinder::default().find(&whole[..length]), None, "{length} bytes");
        }
        let mut damaged = whole;
        damaged[7] = b'"';
        assert_eq!(StampFinder::default().find(&damaged), None);
    }
}
