//! The relation of two patterns: whether one contains all topics of the other, and whether they share a topic.
//!
//! Access to a pattern is decided with these: everything it can match must be allowed. The bounds on the length of names
//! are left out of account, so a pattern of 31 levels and `>` counts as matching more than the one level it could.

use crate::topic::Pattern;

impl Pattern {
    /// Whether every topic that `other` matches is matched by this pattern too.
    pub fn contains(&self, other: &Pattern) -> bool {
        if starts_wild(self) && is_reserved(other) {
            return false;
        }
        let mut theirs = other.levels();
        for level in self.levels() {
            match (level, theirs.next()) {
                (">", Some(_)) => return true,
                ("*", Some(their)) if their != ">" => {}
                (level, Some(their)) if level == their => {}
                _ => return false,
            }
        }
        theirs.next().is_none()
    }

    /// Whether there is a topic that both patterns match.
    pub fn intersects(&self, other: &Pattern) -> bool {
        if (starts_wild(self) && is_reserved(other)) || (starts_wild(other) && is_reserved(self)) {
            return false;
        }
        let (mut mine, mut theirs) = (self.levels(), other.levels());
        loop {
            match (mine.next(), theirs.next()) {
                (None, None) => return true,
                (Some(">"), Some(_)) | (Some(_), Some(">")) => return true,
                (Some("*"), Some(_)) | (Some(_), Some("*")) => {}
                (Some(level), Some(their)) if level == their => {}
                _ => return false,
            }
        }
    }
}

/// Whether the first level is a wildcard, which leaves the broker's own topics alone.
fn starts_wild(pattern: &Pattern) -> bool {
    matches!(pattern.as_str().as_bytes(), [b'*' | b'>'] | [b'*' | b'>', b'.', ..])
}

fn is_reserved(pattern: &Pattern) -> bool {
    pattern.as_str().starts_with('$')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{Just, Strategy, any, prop, prop_oneof, proptest};

    use super::*;
    use crate::topic::Topic;

    /// The levels that names in these tests are made of. `d` occurs in topics only: it stands for all names that no
    /// pattern mentions, so that what holds for all topics of these levels holds for all topics.
    const LEVELS: [&str; 4] = ["a", "b", "$c", "d"];

    /// One level more than the longest pattern here, for `>` to reach past it.
    const LEVELS_MAX: usize = 4;

    fn pattern() -> impl Strategy<Value = Pattern> {
        let level = prop_oneof![Just("a"), Just("b"), Just("$c"), Just("*"), Just("*")];
        (prop::collection::vec(level, 1..LEVELS_MAX), any::<bool>()).prop_map(|(mut levels, has_tail)| {
            if has_tail {
                let last = levels.len() - 1;
                levels[last] = ">";
            }
            levels.join(".").parse().unwrap()
        })
    }

    /// Every topic of at most [`LEVELS_MAX`] levels.
    fn topics() -> Vec<Topic> {
        let mut names: Vec<String> = LEVELS.iter().map(ToString::to_string).collect();
        let mut begin = 0;
        for _ in 1..LEVELS_MAX {
            let end = names.len();
            for index in begin..end {
                names.extend(
                    LEVELS.iter().map(|level| format!("{}.{level}", names[index])).collect::<Vec<_>>(),
                );
            }
            begin = end;
        }
        names.iter().map(|name| name.parse().unwrap()).collect()
    }

    proptest! {
        #[test]
        fn relations_say_what_matching_every_topic_says(left in pattern(), right in pattern()) {
            let topics = topics();
            let holds_all = topics.iter().all(|topic| !right.matches(topic) || left.matches(topic));
            assert_eq!(left.contains(&right), holds_all, "{left} contains {right}");
            let shares = topics.iter().any(|topic| left.matches(topic) && right.matches(topic));
            assert_eq!(left.intersects(&right), shares, "{left} intersects {right}");
            assert_eq!(right.intersects(&left), shares, "{right} intersects {left}");
        }
    }

    #[test]
    fn a_wildcard_holds_what_it_stands_for_and_no_more() {
        let check = |left: &str, right: &str, expected| {
            let [left, right]: [Pattern; 2] = [left, right].map(|text| text.parse().unwrap());
            assert_eq!(left.contains(&right), expected, "{left} contains {right}");
        };
        check("chat.>", "chat.*", true);
        check("chat.>", "chat.a.>", true);
        check("chat.*", "chat.>", false);
        check("chat.*", "chat.a", true);
        check("chat.a", "chat.*", false);
        check(">", "$sys.>", false);
        check("$sys.>", "$sys.*", true);
    }
}
