//! Reads rates: a number per second, or a table that also contains the burst.
//!
//! This file owns the forms of a rate. It does not know what a rate limits.

use toml::de::DeValue;

use super::document::in_order;
use super::value::{Raw, kind};

/// The maximum rate per second. No machine reaches it, so a higher limit would have no effect.
const PER_SECOND_CAP: u64 = 1_000_000;

/// A rate, with the burst that is allowed after a pause.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateLimit {
    /// The number per second in the long run.
    pub per_second: u32,
    /// The number at once after a pause; the default is the number per second.
    pub burst: u32,
}

/// Reads `100`, `{ per_second = 100, burst = 500 }`, or as text `100` and `100/500`. 0 and `false` mean no limit.
pub(super) fn read(raw: Raw<'_>) -> Result<Option<RateLimit>, String> {
    let (per_second, burst) = match raw {
        Raw::Toml(DeValue::Table(_)) => read_table(raw)?,
        Raw::Toml(DeValue::Boolean(false)) => return Ok(None),
        Raw::Toml(DeValue::Integer(_)) => (raw.count()?, None),
        Raw::Toml(other) => {
            return Err(format!(
                "expected a number per second or {{ per_second = 100, burst = 500 }}, found {}",
                if matches!(other, DeValue::Boolean(_)) { "true" } else { kind(other) }
            ));
        }
        Raw::Text(text) => match text.split_once('/') {
            Some((per_second, burst)) => (Raw::Text(per_second).count()?, Some(Raw::Text(burst).count()?)),
            None => (raw.count()?, None),
        },
    };
    if per_second == 0 && burst.is_none() {
        return Ok(None);
    }
    let burst = burst.unwrap_or(per_second);
    for (name, number) in [("per_second", per_second), ("burst", burst)] {
        if !(1..=PER_SECOND_CAP).contains(&number) {
            return Err(format!("{name} is {number}; write a number from 1 to {PER_SECOND_CAP}"));
        }
    }
    // Both are at most PER_SECOND_CAP.
    Ok(Some(RateLimit { per_second: per_second as u32, burst: burst as u32 }))
}

fn read_table(raw: Raw<'_>) -> Result<(u64, Option<u64>), String> {
    let Raw::Toml(DeValue::Table(table)) = raw else { return Err("expected a table".to_owned()) };
    let (mut per_second, mut burst) = (None, None);
    for (key, _, value) in in_order(table) {
        let number = Raw::Toml(value).count().map_err(|reason| format!("{key}: {reason}"))?;
        match key {
            "per_second" => per_second = Some(number),
            "burst" => burst = Some(number),
            other => return Err(format!("'{other}' is neither per_second nor burst")),
        }
    }
    let per_second = per_second.ok_or("it needs per_second, as in { per_second = 100, burst = 500 }")?;
    Ok((per_second, Some(burst.unwrap_or(per_second))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_has_the_rate_and_perhaps_the_burst() {
        let rate = |per_second, burst| Ok(Some(RateLimit { per_second, burst }));
        assert_eq!(read(Raw::Text("100")), rate(100, 100));
        assert_eq!(read(Raw::Text("100/500")), rate(100, 500));
        assert_eq!(read(Raw::Text("0")), Ok(None));
        for bad in ["", "x", "-1", "0/5", "5/0", "1000001", "1.5", "1/2/3"] {
            assert!(read(Raw::Text(bad)).is_err(), "{bad}");
        }
    }
}
