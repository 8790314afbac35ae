//! Reads single values: whole numbers, sizes, durations, words and lists, from TOML or from plain text.
//!
//! TOML has types, so its values must have the right one. The environment and flags have only text, so every type can be
//! written as text. This file does not know the keys: its errors are reasons, to which the callers add the place.

use std::borrow::Cow;
use std::time::Duration;

use toml::de::DeValue;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// The maximum duration. Adding it to any instant does not overflow.
const DURATION_MAX: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// A value as it is written.
#[derive(Debug, Clone, Copy)]
pub(super) enum Raw<'a> {
    /// The text of an environment variable or flag.
    Text(&'a str),
    /// A value of the file.
    Toml(&'a DeValue<'a>),
}

impl<'a> Raw<'a> {
    /// Reads text that is not empty.
    pub(super) fn word(self) -> Result<&'a str, String> {
        let text = self.text()?;
        if text.is_empty() { Err("it is empty".to_owned()) } else { Ok(text) }
    }

    /// Reads a text of any content.
    pub(super) fn text(self) -> Result<&'a str, String> {
        match self {
            Self::Text(text) => Ok(text),
            Self::Toml(DeValue::String(text)) => Ok(text),
            Self::Toml(other) => Err(format!("expected a string, found {}", kind(other))),
        }
    }

    /// Reads text that may be absent; the empty text means absent.
    pub(super) fn optional_word(self) -> Result<Option<&'a str>, String> {
        match self {
            Self::Text("") => Ok(None),
            Self::Toml(DeValue::String(text)) if text.is_empty() => Ok(None),
            other => other.word().map(Some),
        }
    }

    /// Reads `true` or `false`; as text also `1` or `0`.
    pub(super) fn switch(self) -> Result<bool, String> {
        match self {
            Self::Toml(DeValue::Boolean(value)) => Ok(*value),
            Self::Text("true" | "1") => Ok(true),
            Self::Text("false" | "0") => Ok(false),
            Self::Text(text) => Err(format!("'{text}' is neither true nor false")),
            Self::Toml(other) => Err(format!("expected true or false, found {}", kind(other))),
        }
    }

    /// Reads a whole number that is not negative.
    pub(super) fn count(self) -> Result<u64, String> {
        let refused = |written: &str| format!("'{written}' is not a whole number from 0 up");
        match self {
            Self::Text(text) => digits(text).ok_or_else(|| refused(text)),
            Self::Toml(DeValue::Integer(number)) => {
                u64::from_str_radix(number.as_str(), number.radix()).map_err(|_| refused(&number.to_string()))
            }
            Self::Toml(other) => Err(format!("expected a whole number, found {}", kind(other))),
        }
    }

    /// Reads a size in bytes: a whole number, or a string with a unit such as `64MiB`.
    pub(super) fn bytes(self) -> Result<u64, String> {
        match self {
            Self::Text(text) => parse_bytes(text),
            Self::Toml(DeValue::String(text)) => parse_bytes(text),
            Self::Toml(DeValue::Integer(_)) => self.count(),
            Self::Toml(other) => {
                Err(format!("expected a size such as \"64MiB\" or a number of bytes, found {}", kind(other)))
            }
        }
    }

    /// Reads a duration that is not zero: a whole number of seconds, or a string with a unit such as `90s`.
    pub(super) fn duration(self) -> Result<Duration, String> {
        let duration = match self {
            Self::Text(text) => parse_duration(text)?,
            Self::Toml(DeValue::String(text)) => parse_duration(text)?,
            Self::Toml(DeValue::Integer(_)) => Duration::from_secs(self.count()?),
            Self::Toml(other) => {
                return Err(format!(
                    "expected a duration such as \"90s\" or a number of seconds, found {}",
                    kind(other)
                ));
            }
        };
        if duration.is_zero() {
            return Err("it must be longer than zero".to_owned());
        }
        if duration > DURATION_MAX {
            return Err(format!("it must be at most {} days", DURATION_MAX.as_secs() / DAY.as_secs()));
        }
        Ok(duration)
    }

    /// Reads a list of words: a TOML array of strings, or text separated by commas. Empty text is the empty list.
    pub(super) fn list(self) -> Result<Vec<Cow<'a, str>>, String> {
        match self {
            Self::Text(text) if text.trim().is_empty() => Ok(Vec::new()),
            Self::Text(text) => text
                .split(',')
                .map(|part| match part.trim() {
                    "" => Err(format!("'{text}' has an empty entry; separate entries by one comma")),
                    part => Ok(Cow::Borrowed(part)),
                })
                .collect(),
            Self::Toml(DeValue::Array(entries)) => {
                entries.iter().map(|entry| Raw::Toml(entry.get_ref()).word().map(Cow::Borrowed)).collect()
            }
            Self::Toml(other) => {
                Err(format!("expected a list of strings such as [\"a\", \"b\"], found {}", kind(other)))
            }
        }
    }
}

/// Returns the type of a value, for messages.
pub(super) fn kind(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a number with a fraction",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}

/// Reads decimal digits and nothing else: no sign, no space.
fn digits(text: &str) -> Option<u64> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

/// Splits `64MiB` into the number and the unit, which may be empty.
fn split_unit(text: &str) -> Option<(u64, &str)> {
    let end = text.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    Some((digits(number)?, unit))
}

fn parse_bytes(text: &str) -> Result<u64, String> {
    let read = || {
        let (number, unit) = split_unit(text)?;
        let shift = match unit {
            "" | "B" => 0,
            "KiB" => 10,
            "MiB" => 20,
            "GiB" => 30,
            _ => return None,
        };
        number.checked_mul(1 << shift)
    };
    read().ok_or_else(|| format!("'{text}' is not a size; write bytes, or KiB, MiB or GiB as in '64MiB'"))
}

fn parse_duration(text: &str) -> Result<Duration, String> {
    let read = || {
        let (number, unit) = split_unit(text)?;
        let unit = match unit {
            "ms" => return Some(Duration::from_millis(number)),
            "" | "s" => 1,
            "m" => 60,
            "h" => 60 * 60,
            "d" => DAY.as_secs(),
            _ => return None,
        };
        number.checked_mul(unit).map(Duration::from_secs)
    };
    read()
        .ok_or_else(|| format!("'{text}' is not a duration; write seconds, or ms, s, m, h or d as in '90s'"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_strictly() {
        for (text, expected) in [
            ("0", Some(0)),
            ("17", Some(17)),
            ("17B", Some(17)),
            ("512KiB", Some(512 << 10)),
            ("64MiB", Some(64 << 20)),
            ("1GiB", Some(1 << 30)),
            ("", None),
            ("MiB", None),
            ("64MB", None),
            ("64mib", None),
            ("64 MiB", None),
            ("-1", None),
            ("+1", None),
            ("1.5MiB", None),
            ("99999999999999999999", None),
            ("18446744073709551615GiB", None),
        ] {
            assert_eq!(parse_bytes(text).ok(), expected, "{text:?}");
        }
    }

    #[test]
    fn durations_are_read_strictly() {
        for (text, expected) in [
            ("90", Some(90_000)),
            ("90s", Some(90_000)),
            ("2m", Some(120_000)),
            ("1h", Some(3_600_000)),
            ("7d", Some(604_800_000)),
            ("500ms", Some(500)),
            ("", None),
            ("s", None),
            ("2M", None),
            ("2 m", None),
            ("1h30m", None),
            ("1.5s", None),
            ("-1s", None),
            ("0", None),
            ("0ms", None),
            ("366d", None),
            ("18446744073709551615d", None),
        ] {
            let read = Raw::Text(text).duration().ok().map(|duration| duration.as_millis());
            assert_eq!(read, expected, "{text:?}");
        }
    }

    #[test]
    fn lists_in_text_are_separated_by_commas() {
        assert_eq!(Raw::Text("a, b,c").list().unwrap(), ["a", "b", "c"]);
        assert!(Raw::Text("").list().unwrap().is_empty());
        assert!(Raw::Text("a,,b").list().unwrap_err().contains("empty entry"));
    }

    #[test]
    fn switches_in_text_have_two_spellings() {
        for (text, expected) in [
            ("true", Some(true)),
            ("1", Some(true)),
            ("false", Some(false)),
            ("0", Some(false)),
            ("yes", None),
        ] {
            assert_eq!(Raw::Text(text).switch().ok(), expected, "{text:?}");
        }
    }
}
