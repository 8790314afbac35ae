//! The pattern of a rule, in which `{user}` stands for the user's own id.

use std::fmt;
use std::str::FromStr;

use fanwire_protocol::{Pattern, Topic, TopicError};

/// The placeholder of the user's own id in the pattern of a rule.
const USER: &str = "{user}";

/// A pattern in which `{user}`, as a whole level, stands for the id of the client's user. Where there is no client, as for the
/// history of a topic, it stands for any one level.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RulePattern {
    /// The pattern with `*` for `{user}`.
    every_user: Pattern,
    /// The indexes of the levels that are `{user}`, counted from 0.
    user_levels: Box<[usize]>,
}

/// An error that says why a text is no pattern of a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RulePatternError {
    /// It breaks a rule of names.
    #[error(transparent)]
    Name(#[from] TopicError),
    /// `{user}` is only a part of a level.
    #[error("{{user}} must be a whole level, as in 'users.{{user}}.>'")]
    PartOfLevel,
}

impl RulePattern {
    /// Returns the pattern of all topics that the rule can match: `*` in place of `{user}`.
    pub fn every_user(&self) -> &Pattern {
        &self.every_user
    }

    /// Returns whether `{user}` occurs.
    pub fn names_user(&self) -> bool {
        !self.user_levels.is_empty()
    }

    /// Returns whether everything that both `asked` and this pattern match belongs to `user`, that is, whether `asked` has the
    /// user's id at each `{user}`. A user whose id cannot be a level of a topic owns nothing: an id such as `*`
    /// must not be taken for a wildcard.
    pub fn is_owned_by(&self, user: &str, asked: &Pattern) -> bool {
        let is_level = Topic::new(user).is_ok_and(|topic| topic.levels().count() == 1);
        is_level && self.user_levels.iter().all(|index| asked.levels().nth(*index) == Some(user))
    }
}

/// Writes the pattern as it is configured.
impl fmt::Display for RulePattern {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, level) in self.every_user.levels().enumerate() {
            let level = if self.user_levels.contains(&index) { USER } else { level };
            write!(formatter, "{}{level}", if index > 0 { "." } else { "" })?;
        }
        Ok(())
    }
}

impl FromStr for RulePattern {
    type Err = RulePatternError;

    fn from_str(text: &str) -> Result<Self, RulePatternError> {
        // The name is checked as it is written, so that errors are about what the operator sees.
        Pattern::new(text)?;
        let levels: Vec<&str> = text.split('.').collect();
        if levels.iter().any(|level| *level != USER && level.contains(USER)) {
            return Err(RulePatternError::PartOfLevel);
        }
        let user_levels = (0..levels.len()).filter(|index| levels[*index] == USER).collect();
        let every_user: Vec<&str> =
            levels.into_iter().map(|level| if level == USER { "*" } else { level }).collect();
        Ok(Self { every_user: Pattern::new(&every_user.join("."))?, user_levels })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn user_must_be_a_whole_level() {
        assert_eq!("users.u-{user}".parse::<RulePattern>(), Err(RulePatternError::PartOfLevel));
        assert!(matches!("users..{user}".parse::<RulePattern>(), Err(RulePatternError::Name(_))));
        let pattern: RulePattern = "{user}.to.{user}".parse().unwrap();
        assert_eq!(pattern.every_user().as_str(), "*.to.*");
        assert_eq!(pattern.to_string(), "{user}.to.{user}");
        assert_eq!("a.*.{user}.>".parse::<RulePattern>().unwrap().to_string(), "a.*.{user}.>");
        assert!(pattern.names_user());
        assert!(!"users.*".parse::<RulePattern>().unwrap().names_user());
    }

    #[test]
    fn a_user_owns_what_has_the_id_in_every_place() {
        let pattern: RulePattern = "{user}.to.{user}".parse().unwrap();
        let check = |user: &str, asked: &str, expected| {
            assert_eq!(pattern.is_owned_by(user, &asked.parse().unwrap()), expected, "{user} of {asked}");
        };
        check("ann", "ann.to.ann", true);
        check("ann", "ann.to.bob", false);
        check("ann", "ann.>", false);
        check("*", "*.to.*", false);
        check(">", "*.to.>", false);
    }

    #[test]
    fn an_id_that_cannot_be_a_level_owns_nothing() {
        let pattern: RulePattern = "users.{user}".parse().unwrap();
        let asked: Vec<Pattern> =
            ["users.*", "users.>", "users.a", "users.a.b"].map(|text| text.parse().unwrap()).into();
        for user in ["", "*", ">", "a.b", ".", "a b", "a\n", "\u{0}", " ", "a*", "users.a"] {
            assert!(!asked.iter().any(|asked| pattern.is_owned_by(user, asked)), "{user:?}");
        }
    }
}
