//! The stable codes that errors and closes carry, and what a client should do about each.

use std::fmt;

/// The kind of error of one request, as a word that programs match on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorCode {
    /// The frame or request could not be read: not JSON or MessagePack, a field missing or of the wrong type.
    BadFrame,
    /// The topic or pattern breaks a rule of names.
    BadTopic,
    /// Credentials are missing or not accepted.
    Unauthorized,
    /// The token's time is over.
    TokenExpired,
    /// The identity is known but may not do this.
    Forbidden,
    /// The session is not subscribed to what it wants to leave.
    NotSubscribed,
    /// The payload is larger than the broker accepts.
    TooLarge,
    /// Too many requests in too short a time.
    RateLimited,
    /// A limit on how much one session or address may hold was reached.
    LimitExceeded,
    /// The topic keeps no history.
    HistoryOff,
    /// The broker cannot do this now or is not configured to.
    Unavailable,
    /// The broker failed; its log says how.
    Internal,
}

impl ErrorCode {
    /// Every code, in the order of the documentation.
    pub const ALL: [ErrorCode; 12] = [
        ErrorCode::BadFrame,
        ErrorCode::BadTopic,
        ErrorCode::Unauthorized,
        ErrorCode::TokenExpired,
        ErrorCode::Forbidden,
        ErrorCode::NotSubscribed,
        ErrorCode::TooLarge,
        ErrorCode::RateLimited,
        ErrorCode::LimitExceeded,
        ErrorCode::HistoryOff,
        ErrorCode::Unavailable,
        ErrorCode::Internal,
    ];

    /// The code as written on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            ErrorCode::BadFrame => "bad_frame",
            ErrorCode::BadTopic => "bad_topic",
            ErrorCode::Unauthorized => "unauthorized",
            ErrorCode::TokenExpired => "token_expired",
            ErrorCode::Forbidden => "forbidden",
            ErrorCode::NotSubscribed => "not_subscribed",
            ErrorCode::TooLarge => "too_large",
            ErrorCode::RateLimited => "rate_limited",
            ErrorCode::LimitExceeded => "limit_exceeded",
            ErrorCode::HistoryOff => "history_off",
            ErrorCode::Unavailable => "unavailable",
            ErrorCode::Internal => "internal",
        }
    }

    /// Reads a code as written on the wire; `None` for a code this version does not know.
    pub fn from_wire(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|code| code.as_str() == text)
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// The reason why the broker closes a WebSocket (RFC 6455 §7.4; 4000 to 4999 are the application's own).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CloseCode {
    /// 1000: the client asked for it, or all is done.
    Normal,
    /// 1001: the broker is shutting down.
    GoingAway,
    /// 1002: the client broke the WebSocket protocol.
    Protocol,
    /// 1003: a binary message on a text session, or the other way round.
    Unsupported,
    /// 1007: a text message that is not UTF-8.
    InvalidUtf8,
    /// 1009: a message larger than the broker accepts.
    TooBig,
    /// 4400: what the client sends cannot be read at all.
    BadFrame,
    /// 4401: credentials are missing, refused or at their end.
    Unauthorized,
    /// 4403: the identity may not be here.
    Forbidden,
    /// 4408: the client was silent for too long.
    TimedOut,
    /// 4413: the client does not read fast enough.
    TooSlow,
    /// 4429: the client sends too much.
    RateLimited,
    /// 4440: an operator disconnected the session.
    Disconnected,
}

impl CloseCode {
    /// Every code the broker closes with.
    pub const ALL: [CloseCode; 13] = [
        CloseCode::Normal,
        CloseCode::GoingAway,
        CloseCode::Protocol,
        CloseCode::Unsupported,
        CloseCode::InvalidUtf8,
        CloseCode::TooBig,
        CloseCode::BadFrame,
        CloseCode::Unauthorized,
        CloseCode::Forbidden,
        CloseCode::TimedOut,
        CloseCode::TooSlow,
        CloseCode::RateLimited,
        CloseCode::Disconnected,
    ];

    /// The number in the close frame.
    pub fn number(self) -> u16 {
        match self {
            CloseCode::Normal => 1000,
            CloseCode::GoingAway => 1001,
            CloseCode::Protocol => 1002,
            CloseCode::Unsupported => 1003,
            CloseCode::InvalidUtf8 => 1007,
            CloseCode::TooBig => 1009,
            CloseCode::BadFrame => 4400,
            CloseCode::Unauthorized => 4401,
            CloseCode::Forbidden => 4403,
            CloseCode::TimedOut => 4408,
            CloseCode::TooSlow => 4413,
            CloseCode::RateLimited => 4429,
            CloseCode::Disconnected => 4440,
        }
    }

    /// Reads the number of a close frame; `None` for one this version does not know.
    pub fn from_number(number: u16) -> Option<Self> {
        Self::ALL.into_iter().find(|code| code.number() == number)
    }

    /// Returns whether a client that reconnects with the same behaviour and credentials can expect to be served.
    pub fn should_reconnect(self) -> bool {
        match self {
            CloseCode::GoingAway | CloseCode::TimedOut | CloseCode::TooSlow | CloseCode::RateLimited => true,
            CloseCode::Normal
            | CloseCode::Protocol
            | CloseCode::Unsupported
            | CloseCode::InvalidUtf8
            | CloseCode::TooBig
            | CloseCode::BadFrame
            | CloseCode::Unauthorized
            | CloseCode::Forbidden
            | CloseCode::Disconnected => false,
        }
    }

    /// The name under which the code is counted in metrics.
    pub fn label(self) -> &'static str {
        match self {
            CloseCode::Normal => "normal",
            CloseCode::GoingAway => "going_away",
            CloseCode::Protocol => "protocol",
            CloseCode::Unsupported => "unsupported",
            CloseCode::InvalidUtf8 => "invalid_utf8",
            CloseCode::TooBig => "too_big",
            CloseCode::BadFrame => "bad_frame",
            CloseCode::Unauthorized => "unauthorized",
            CloseCode::Forbidden => "forbidden",
            CloseCode::TimedOut => "timed_out",
            CloseCode::TooSlow => "too_slow",
            CloseCode::RateLimited => "rate_limited",
            CloseCode::Disconnected => "disconnected",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_survives_the_wire() {
        for code in ErrorCode::ALL {
            assert_eq!(ErrorCode::from_wire(code.as_str()), Some(code));
        }
        for code in CloseCode::ALL {
            assert_eq!(CloseCode::from_number(code.number()), Some(code));
        }
        assert_eq!(ErrorCode::from_wire("nonsense"), None);
        assert_eq!(CloseCode::from_number(1006), None);
    }
}
