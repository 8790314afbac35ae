//! The reaction to a close by the broker: whether to reconnect, and when.

use std::time::Duration;

use fanwire_protocol::{CloseCode, ErrorCode};

use crate::error::Error;

/// The longest wait before coming back that a broker may ask for; a longer one is cut to this.
const AFTER_MAX: Duration = Duration::from_secs(300);

/// The reaction to the end of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Connect again: after exactly this time when the broker named one, else after the back-off's.
    Reconnect {
        /// The time the broker named.
        after: Option<Duration>,
    },
    /// Coming back unchanged would end the same way.
    End,
}

/// The broker's `closing` frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Closing {
    pub(crate) code: u16,
    pub(crate) reason: String,
    pub(crate) reconnect: bool,
    pub(crate) after_ms: Option<u64>,
}

impl Closing {
    pub(crate) fn verdict(&self) -> Verdict {
        if !self.reconnect {
            return Verdict::End;
        }
        Verdict::Reconnect { after: self.after_ms.map(|wait| Duration::from_millis(wait).min(AFTER_MAX)) }
    }
}

/// Returns the reaction to a close frame that no `closing` frame announced.
///
/// A code of the protocol says so itself. Of the others, 4400 to 4499 are the protocol's range for "the client is at
/// fault" (in the manner of HTTP's 4xx), and 4000 to 4399 belong to an application this client does not know: neither
/// is worth repeating. 4500 to 4999, RFC 6455's server-side codes (1011 to 1014), libraries' codes (3000 to 3999) and
/// a close without a code have a passing cause, so the client reconnects.
pub(crate) fn verdict_of_code(code: Option<u16>) -> Verdict {
    let Some(code) = code else { return Verdict::Reconnect { after: None } };
    let again = match CloseCode::from_number(code) {
        Some(known) => known.should_reconnect(),
        None => !matches!(code, 1008 | 1010 | 4000..=4499),
    };
    if again { Verdict::Reconnect { after: None } } else { Verdict::End }
}

/// Returns the reaction to a connection that could not be made.
pub(crate) fn verdict_of_error(error: &Error) -> Verdict {
    let final_status = |status: &Option<u16>| matches!(status, Some(401 | 403));
    let end = match error {
        Error::Refused { status, .. } => final_status(status),
        Error::Rejected { code, .. } => {
            matches!(code, ErrorCode::Unauthorized | ErrorCode::TokenExpired | ErrorCode::Forbidden)
        }
        Error::Disconnected { code, .. } => verdict_of_code(*code) == Verdict::End,
        _ => false,
    };
    if end { Verdict::End } else { Verdict::Reconnect { after: None } }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AGAIN: Verdict = Verdict::Reconnect { after: None };

    #[test]
    fn codes_of_the_protocol_follow_its_own_table() {
        for code in CloseCode::ALL {
            let expected = if code.should_reconnect() { AGAIN } else { Verdict::End };
            assert_eq!(verdict_of_code(Some(code.number())), expected, "{code:?}");
        }
    }

    #[test]
    fn codes_nobody_documented_follow_their_range() {
        for (code, expected) in [
            (1008, Verdict::End),
            (1011, AGAIN),
            (1012, AGAIN),
            (3500, AGAIN),
            (4000, Verdict::End),
            (4477, Verdict::End),
            (4500, AGAIN),
        ] {
            assert_eq!(verdict_of_code(Some(code)), expected, "{code}");
        }
        assert_eq!(verdict_of_code(None), AGAIN);
    }

    #[test]
    fn the_closing_frame_outranks_the_code() {
        let closing =
            |reconnect, after_ms| Closing { code: 4401, reason: String::new(), reconnect, after_ms };
        assert_eq!(closing(false, Some(5)).verdict(), Verdict::End);
        assert_eq!(
            closing(true, Some(5)).verdict(),
            Verdict::Reconnect { after: Some(Duration::from_millis(5)) }
        );
        assert_eq!(closing(true, Some(u64::MAX)).verdict(), Verdict::Reconnect { after: Some(AFTER_MAX) });
        assert_eq!(closing(true, None).verdict(), AGAIN);
    }

    #[test]
    fn only_refused_credentials_end_the_attempts_to_connect() {
        let refused = |status| Error::Refused { url: String::new(), status, reason: String::new() };
        assert_eq!(verdict_of_error(&refused(Some(403))), Verdict::End);
        assert_eq!(verdict_of_error(&refused(Some(503))), AGAIN);
        assert_eq!(verdict_of_error(&Error::TimedOut), AGAIN);
        let rejected = |code| Error::Rejected { code, message: String::new() };
        assert_eq!(verdict_of_error(&rejected(ErrorCode::TokenExpired)), Verdict::End);
        assert_eq!(verdict_of_error(&rejected(ErrorCode::Unavailable)), AGAIN);
    }
}
