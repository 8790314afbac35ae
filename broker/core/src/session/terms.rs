//! The terms under which a session's requests are decided.

use crate::limits::SessionLimits;
use crate::rules::Rules;

/// The settings that hold for every session at the moment of a request.
#[derive(Debug, Clone, Copy)]
pub struct Terms<'a> {
    /// The limits of one session.
    pub limits: &'a SessionLimits,
    /// The rules of the topics.
    pub rules: &'a Rules,
    /// Whether tokens are checked. An open broker does not look at them: every session is anonymous.
    pub has_authentication: bool,
}
