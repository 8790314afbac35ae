//! A place in a topic's past from which to read, and how people and URLs write one.
//!
//! This file reads no clock: an age such as `10m` becomes a moment with the time it is given. It does not know what a
//! topic holds; that is decided by the topic's log.

use crate::cursor::{Cursor, EARLIEST};
use crate::position::{Epoch, Position};
use crate::topic::Topic;

/// A place in a topic's history from which to read on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Since {
    /// Before the oldest publication still held.
    Earliest,
    /// Publications after this position.
    Position(Position),
    /// After the position that a cursor holds for the topic.
    Cursor(Cursor),
    /// With the first publication accepted at this moment or later, in milliseconds since 1970.
    Time(u64),
}

/// The meaning of a [`Since`] for one topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StartPoint {
    /// Before the oldest publication still held.
    Earliest,
    /// Publications after this position.
    After(Position),
    /// Before the first publication accepted at this moment or later, in milliseconds since 1970.
    Moment(u64),
}

/// An error of a text that is no start point.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SinceError {
    /// It looks like nothing that is known.
    #[error(
        "expected 'earliest', a cursor as the broker gave it, a moment such as 2026-11-21T06:40:00Z, or an age such as \
         90s, 10m, 2h or 7d"
    )]
    Unknown,
    /// It begins like a date, but is no moment.
    #[error(
        "a moment is a date that exists, a time and its zone, from 1970 on, such as 2026-11-21T06:40:00Z or \
         2026-11-21T07:40:00.250+01:00 (RFC 3339; in a URL the plus is %2B)"
    )]
    Moment,
    /// It looks like an age, but its number is too large.
    #[error("an age is a whole number of s, m, h or d, and this one is longer than can be counted")]
    Age,
}

impl Since {
    /// Returns the start point for `topic`. A cursor without the topic gives a position of no topic's epoch, so that
    /// no reader is wrongly informed that it missed nothing.
    ///
    /// `epoch` is the epoch of the topic, which only the broker knows: see [`Since::needs_epoch`].
    pub fn place_in(&self, topic: &Topic, epoch: Epoch) -> StartPoint {
        match self {
            Since::Earliest => StartPoint::Earliest,
            Since::Position(position) => StartPoint::After(*position),
            Since::Cursor(cursor) => StartPoint::After(cursor.position_in(topic, epoch)),
            Since::Time(moment) => StartPoint::Moment(*moment),
        }
    }

    /// Whether [`Since::place_in`] depends on the epoch.
    pub fn needs_epoch(&self) -> bool {
        matches!(self, Since::Cursor(cursor) if cursor.has_tags())
    }

    /// The position that is named for `topic`, if it is one and can be read without the topic's epoch.
    pub fn position_in(&self, topic: &Topic) -> Option<Position> {
        match self {
            Since::Position(position) => Some(*position),
            Since::Cursor(cursor) => cursor.untagged_position_in(topic),
            Since::Earliest | Since::Time(_) => None,
        }
    }

    /// Reads a place as people and URLs write it: `earliest`, a cursor, an RFC 3339 moment, or an age before `now_ms`
    /// (milliseconds since 1970), which is a moment from then on.
    ///
    /// None of these can be taken for another: a cursor begins with `t.` or `m.` or has a `:`, an age has neither, and what
    /// begins like a date is never a cursor.
    ///
    /// # Errors
    /// If it is none of them, with what was expected.
    pub fn from_text(text: &str, now_ms: u64) -> Result<Self, SinceError> {
        if text == EARLIEST {
            return Ok(Since::Earliest);
        }
        if is_dated(text) {
            return moment(text).map(Since::Time).ok_or(SinceError::Moment);
        }
        if let Some((number, unit_ms)) = age(text) {
            let age_ms = number.parse::<u64>().ok().and_then(|number| number.checked_mul(unit_ms));
            // An age from before 1970 means everything, and so does 1970.
            return age_ms.map(|age_ms| Since::Time(now_ms.saturating_sub(age_ms))).ok_or(SinceError::Age);
        }
        text.parse().map(Since::Cursor).map_err(|_| SinceError::Unknown)
    }
}

/// Splits an age into its digits and the milliseconds of its unit.
fn age(text: &str) -> Option<(&str, u64)> {
    let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let unit_ms = match unit {
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return None,
    };
    let is_number = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then_some((number, unit_ms))
}

/// Whether the text begins like `2026-11-`, as no epoch of a broker does.
fn is_dated(text: &str) -> bool {
    text.len() >= 8
        && text.bytes().zip(*b"0000-00-").all(|(byte, form)| match form {
            b'0' => byte.is_ascii_digit(),
            dash => byte == dash,
        })
}

/// The milliseconds since 1970 of an RFC 3339 moment; digits after the third of a second are cut off. A leap second
/// counts as the one before it. `None` if it is no such moment, or is before 1970.
fn moment(text: &str) -> Option<u64> {
    let (date, rest) = text.split_at_checked(10)?;
    let rest = rest.strip_prefix(['T', 't', ' '])?;
    let (time, rest) = rest.split_at_checked(8)?;
    let (year, month, day) = three(date, b'-', [4, 2, 2])?;
    let (hour, minute, second) = three(time, b':', [2, 2, 2])?;
    let (milliseconds, zone) = fraction(rest)?;
    if !(1..=12).contains(&month) || !(1..=days_of(year, month)).contains(&day) {
        return None;
    }
    if hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let seconds = days_since_1970(year, month, day) * 86_400 + hour * 3_600 + minute * 60 + second.min(59);
    u64::try_from((seconds - offset_seconds(zone)?) * 1_000 + milliseconds).ok()
}

/// Three numbers of exactly so many digits, with `separator` between them.
fn three(text: &str, separator: u8, digits: [usize; 3]) -> Option<(i64, i64, i64)> {
    let mut parts = text.split(char::from(separator));
    let mut next = |count: usize| {
        let part = parts.next()?;
        let is_number = part.len() == count && part.bytes().all(|byte| byte.is_ascii_digit());
        if is_number { part.parse().ok() } else { None }
    };
    let numbers = (next(digits[0])?, next(digits[1])?, next(digits[2])?);
    parts.next().is_none().then_some(numbers)
}

/// The milliseconds of a fraction of a second, if there is one, and what stands after it.
fn fraction(text: &str) -> Option<(i64, &str)> {
    let Some(fraction) = text.strip_prefix('.') else { return Some((0, text)) };
    let digits = fraction.bytes().take_while(u8::is_ascii_digit).count();
    let (digits, zone) = fraction.split_at_checked(digits)?;
    let digit = |place: usize| digits.as_bytes().get(place).map_or(0, |byte| i64::from(byte - b'0'));
    (!digits.is_empty()).then(|| (digit(0) * 100 + digit(1) * 10 + digit(2), zone))
}

/// By how many seconds the zone is before UTC. A plus that a URL made a space of is one all the same.
fn offset_seconds(zone: &str) -> Option<i64> {
    if matches!(zone, "Z" | "z") {
        return Some(0);
    }
    let sign = match zone.as_bytes().first()? {
        b'+' | b' ' => 1,
        b'-' => -1,
        _ => return None,
    };
    let (hours, minutes, _) = three(&format!("{}:00", &zone[1..]), b':', [2, 2, 2])?;
    (hours <= 23 && minutes <= 59).then_some(sign * (hours * 3_600 + minutes * 60))
}

fn is_leap(year: i64) -> bool {
    (year % 4 == 0 && year % 100 != 0) || year % 400 == 0
}

fn days_of(year: i64, month: i64) -> i64 {
    match month {
        2 => 28 + i64::from(is_leap(year)),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days from 1970-01-01 to a day of the Gregorian calendar.
fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let years_before = year - 1;
    let leap_days = years_before.div_euclid(4) - years_before.div_euclid(100) + years_before.div_euclid(400);
    let months_before: i64 = (1..month).map(|month| days_of(year, month)).sum();
    // 719,162 days lie before 1970 when counted from year 1.
    years_before * 365 + leap_days + months_before + day - 1 - 719_162
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, proptest};

    use super::*;

    const NOW_MS: u64 = 1_795_243_200_000;

    fn check(text: &str, expected: Result<Since, SinceError>) {
        assert_eq!(Since::from_text(text, NOW_MS), expected, "{text:?}");
    }

    #[test]
    fn every_way_to_write_a_place_is_read() {
        check("earliest", Ok(Since::Earliest));
        for cursor in ["5f3a:17", "10:5", "7d:5", "m.", "2026:5"] {
            check(cursor, Ok(Since::Cursor(cursor.parse().unwrap())));
        }
        for (age, seconds) in [("0s", 0), ("90s", 90), ("10m", 600), ("2h", 7_200), ("7d", 604_800)] {
            check(age, Ok(Since::Time(NOW_MS - seconds * 1_000)));
        }
        check("99999d", Ok(Since::Time(0)));
    }

    #[test]
    fn moments_are_read_as_rfc_3339_writes_them() {
        for (text, moment) in [
            ("1970-01-01T00:00:00Z", 0),
            ("1970-01-01T00:00:00.0019Z", 1),
            ("1985-04-12T23:20:50.52Z", 482_196_050_520),
            ("1996-12-19T16:39:57-08:00", 851_042_397_000),
            ("1990-12-31T23:59:60Z", 662_687_999_000),
            ("1937-01-01T12:00:27.87+00:20", u64::MAX),
            ("2024-02-29t00:00:00z", 1_709_164_800_000),
            ("2026-11-21 07:40:00 01:00", 1_795_243_200_000),
            ("9999-12-31T23:59:59.999Z", 253_402_300_799_999),
        ] {
            let expected = if moment == u64::MAX { Err(SinceError::Moment) } else { Ok(Since::Time(moment)) };
            check(text, expected);
        }
    }

    #[test]
    fn what_names_no_place_is_refused_with_what_would() {
        for text in
            ["", "latest", "17", "-10m", "10 m", "10min", "1.5h", "m", "ä", "1ä", "now", "5f3a:x", "5f3a:-1"]
        {
            check(text, Err(SinceError::Unknown));
        }
        for text in [
            "2026-11-21",
            "2026-11-21T06:40",
            "2026-11-21T06:40:00",
            "2026-11-21T06:40:00.Z",
            "2026-11-21T06:40:00+1:00",
            "2026-11-21T06:40:00+24:00",
            "2026-11-21T24:00:00Z",
            "2026-11-21T06:60:00Z",
            "2026-02-29T00:00:00Z",
            "2026-13-01T00:00:00Z",
            "2026-00-01T00:00:00Z",
            "2026-11-00T00:00:00Z",
            "2026-11-21T06:40:00Zx",
            "2026-11-2äT06:40:00Z",
            "1969-12-31T23:59:59Z",
            "1970-01-01T00:00:00+00:01",
            "0000-01-01T00:00:00Z",
        ] {
            check(text, Err(SinceError::Moment));
        }
        check("99999999999999999999s", Err(SinceError::Age));
        check("18446744073709551615d", Err(SinceError::Age));
    }

    #[test]
    fn a_place_in_a_topic_is_what_the_cursor_says_of_it() {
        let topic: Topic = "a".parse().unwrap();
        let cursor: Cursor = "5f3a:17".parse().unwrap();
        let epoch = Epoch::from_random(0x5f3a);
        let place = StartPoint::After(cursor.position_in(&topic, epoch));
        assert_eq!(Since::Cursor(cursor.clone()).place_in(&topic, epoch), place);
        assert_eq!(Since::Cursor(cursor).place_in(&topic, Epoch::from_random(1)), place);
        assert_eq!(Since::Time(7).place_in(&topic, epoch), StartPoint::Moment(7));
        assert_eq!(Since::Earliest.place_in(&topic, epoch), StartPoint::Earliest);
    }

    proptest! {
        /// Days are counted as the calendar turns them, one after the other.
        #[test]
        fn each_day_follows_the_one_before(year in 1970i64..9999, month in 1i64..=12, day in 1i64..=31) {
            if day <= days_of(year, month) {
                let next = match (day < days_of(year, month), month < 12) {
                    (true, _) => (year, month, day + 1),
                    (false, true) => (year, month + 1, 1),
                    (false, false) => (year + 1, 1, 1),
                };
                let here = days_since_1970(year, month, day);
                assert_eq!(days_since_1970(next.0, next.1, next.2), here + 1);
                let text = format!("{year:04}-{month:02}-{day:02}T00:00:00Z");
                assert_eq!(Since::from_text(&text, 0), Ok(Since::Time(here as u64 * 86_400_000)));
            }
        }

        #[test]
        fn no_text_is_too_strange_to_be_refused(text in any::<String>(), now_ms in any::<u64>()) {
            let _place_or_error = Since::from_text(&text, now_ms);
        }

        #[test]
        fn no_cursor_is_taken_for_anything_else(epoch in 1u64.., offset in any::<u64>()) {
            let text = format!("{epoch:x}:{offset}");
            assert_eq!(Since::from_text(&text, NOW_MS), Ok(Since::Cursor(text.parse().unwrap())));
        }
    }
}
