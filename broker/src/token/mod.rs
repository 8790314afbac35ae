//! Tokens: JSON Web Tokens (RFC 7519) signed as RFC 7515 says, checked by the advice of RFC 8725.
//!
//! This module owns the form of a token, the algorithms, the keys and the claims. It reads no files, makes no requests and
//! knows no sessions: keys, rules and the time are arguments. The algorithm is never taken from the token alone: every key
//! has a list of algorithms, and the token only names one of them.

mod algorithm;
mod claims;
mod jws;
mod key;
mod key_set;
mod sign;
mod spki;

use fanwire_core::access::Refusal;
use fanwire_core::identity::Identity;
use fanwire_protocol::ErrorCode;

pub use algorithm::{Algorithm, UnknownAlgorithm};
pub use claims::{Audiences, ClaimRules, Claims, FanwireClaims, Seconds};
pub use jws::{TOKEN_BYTES_MAX, Unverified};
pub use key::{KeyError, SECRET_BYTES_MIN, VerifyingKey};
pub use key_set::{KeySetError, parse_key_set};
pub use sign::{SignError, SigningKey};

/// An error that says why a token is not accepted. The sentences are for the client that shows the token: they say what to do and
/// reveal nothing about the keys.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// The token is longer than [`TOKEN_BYTES_MAX`].
    #[error("the token is longer than {TOKEN_BYTES_MAX} bytes: put less into it")]
    TooLong,
    /// Not three parts of base64url, or not JSON inside.
    #[error(
        "the token is malformed: it must be a JSON Web Token, three parts of base64url separated by dots"
    )]
    Malformed,
    /// An algorithm that is not accepted, `none` among them.
    #[error("the token is signed with an algorithm that this broker does not accept")]
    Algorithm,
    /// The token requires an extension (`crit`, RFC 7515 §4.1.11). The broker implements none.
    #[error("the token asks for extensions ('crit') that this broker does not know")]
    Critical,
    /// No key has the token's `kid`.
    #[error("the token names a key ('kid') that this broker does not know")]
    UnknownKey,
    /// None of the keys made the signature.
    #[error("the token is not signed with a key that this broker trusts")]
    Signature,
    /// A claim is missing, has the wrong type, or is not accepted. The text is a whole sentence.
    #[error("{0}")]
    Claim(String),
    /// The time in `exp` has passed.
    #[error("the token's time is over: get a new one")]
    Expired,
}

impl From<TokenError> for Refusal {
    fn from(error: TokenError) -> Self {
        let code = match error {
            TokenError::Expired => ErrorCode::TokenExpired,
            _ => ErrorCode::Unauthorized,
        };
        Refusal { code, message: error.to_string() }
    }
}

/// Checks the signature of a token with `keys`, then its claims with `rules`, and returns the identity that it gives. `now_ms` is
/// the time in milliseconds since 1970.
///
/// # Errors
/// If the token is not accepted.
pub fn verify(
    token: &str,
    keys: &[VerifyingKey],
    rules: &ClaimRules,
    now_ms: u64,
) -> Result<Identity, TokenError> {
    let claims = Unverified::parse(token)?.verify(keys)?;
    claims.check(rules, now_ms)
}

#[cfg(test)]
mod tests;
