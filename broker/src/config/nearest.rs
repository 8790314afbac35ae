//! Finds the valid name that a mistyped one most likely stands for.
//!
//! This file owns the measure and its bound. The caller passes the candidates.

/// A name is close if at most one of this many characters has to change.
const CHARACTERS_PER_EDIT: usize = 3;

/// Returns the candidate that is closest to `given`, or `None` if none is close. Of several equally close candidates the
/// first is returned.
///
/// A key in the wrong section is close, too: then only the last part is compared, and the section counts as one edit.
pub(crate) fn nearest<'a>(given: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let measured = candidates.filter_map(|candidate| Some((distance(given, candidate)?, candidate)));
    measured.min_by_key(|(edits, _)| *edits).map(|(_, candidate)| candidate)
}

/// Returns the number of edits between two names, if they are close.
fn distance(given: &str, candidate: &str) -> Option<usize> {
    let whole = close(given, strsim::osa_distance(given, candidate));
    let (from, to) = (last_part(given), last_part(candidate));
    let moved = close(from, strsim::osa_distance(from, to) + 1);
    whole.into_iter().chain(moved).min()
}

fn last_part(key: &str) -> &str {
    key.rsplit('.').next().unwrap_or(key)
}

fn close(given: &str, edits: usize) -> Option<usize> {
    let edits_max = (given.chars().count() / CHARACTERS_PER_EDIT).max(1);
    (edits <= edits_max).then_some(edits)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEYS: [&str; 4] = ["listen", "limits.message_bytes_max", "limits.outbox_bytes_max", "log.format"];

    #[test]
    fn mistyped_key_finds_its_neighbour() {
        for (given, expected) in [
            ("lissten", "listen"),
            ("lisetn", "listen"),
            ("limits.mesage_bytes_max", "limits.message_bytes_max"),
            ("limit.outbox_bytes_max", "limits.outbox_bytes_max"),
        ] {
            assert_eq!(nearest(given, KEYS.into_iter()), Some(expected));
        }
    }

    #[test]
    fn key_in_the_wrong_section_finds_its_home() {
        assert_eq!(nearest("outbox_bytes_max", KEYS.into_iter()), Some("limits.outbox_bytes_max"));
        assert_eq!(nearest("server.format", KEYS.into_iter()), Some("log.format"));
    }

    #[test]
    fn far_off_names_are_not_suggested() {
        for given in ["", "zzz", "password", "limits.cors", "tls.ciphers", "größe"] {
            assert_eq!(nearest(given, KEYS.into_iter()), None, "{given}");
        }
        assert_eq!(nearest("listen", std::iter::empty()), None);
    }
}
