//! Numbers on the command line, with errors that name the accepted range.

use std::ops::RangeInclusive;

/// Returns the parser of a whole number in `range`.
pub(crate) fn within(range: RangeInclusive<u32>) -> impl Fn(&str) -> Result<u32, String> + Clone {
    move |text| {
        let number = text.parse().ok().filter(|number| range.contains(number));
        number.ok_or_else(|| format!("expected a whole number from {} to {}", range.start(), range.end()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_outside_the_range_and_other_text_name_the_range() {
        let parse = within(1..=300);
        assert_eq!(parse("300"), Ok(300));
        for text in ["0", "301", "-1", "x", ""] {
            assert_eq!(parse(text).unwrap_err(), "expected a whole number from 1 to 300", "{text}");
        }
    }
}
