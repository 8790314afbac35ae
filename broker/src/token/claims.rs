//! What a token says (RFC 7519 §4.1), and whether this broker believes it.

use std::sync::Arc;

use fanwire_core::identity::{Grants, Holder, Identity};
use fanwire_protocol::{Pattern, Payload};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::TokenError;

/// The longest user id, in bytes.
const USER_BYTES_MAX: usize = 255;

/// The longest `info`, in bytes: it is sent to everybody who watches presence.
const INFO_BYTES_MAX: usize = 4096;

/// By how much the clock of whoever made a token may be ahead of ours, in milliseconds. `exp` is given no such grace.
const AHEAD_MS_MAX: u64 = 30_000;

/// The latest time that is believed, in seconds since 1970: about the year 5000.
const SECONDS_MAX: f64 = 1e11;

/// What a token says. Claims of other names are let be.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Claims {
    /// Whose it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sub: Option<String>,
    /// When it ends, in seconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exp: Option<Seconds>,
    /// When it begins, in seconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nbf: Option<Seconds>,
    /// When it was made, in seconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub iat: Option<Seconds>,
    /// Whom it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub aud: Option<Audiences>,
    /// Who made it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub iss: Option<String>,
    /// What it grants here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fanwire: Option<FanwireClaims>,
}

/// What a token grants here.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct FanwireClaims {
    /// Patterns of the topics it may publish to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub publish: Vec<String>,
    /// Patterns of the topics it may subscribe to and read.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub subscribe: Vec<String>,
    /// What others are shown of the user: any JSON.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub info: Option<Box<RawValue>>,
}

/// A time in seconds since 1970, perhaps with a fraction (RFC 7519 §2, NumericDate). A number in a string is none.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Seconds(f64);

impl Seconds {
    /// The time so many seconds after 1970 began.
    pub fn new(seconds: u64) -> Self {
        Self(seconds as f64)
    }

    /// In milliseconds; `None` if the time is before 1970 or too far away to be meant.
    pub fn to_ms(self) -> Option<u64> {
        (0.0..=SECONDS_MAX).contains(&self.0).then_some((self.0 * 1000.0) as u64)
    }
}

/// One audience or several (RFC 7519 §4.1.3).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Audiences {
    /// One.
    One(String),
    /// Several.
    Several(Vec<String>),
}

impl Audiences {
    fn names(&self) -> &[String] {
        match self {
            Audiences::One(name) => std::slice::from_ref(name),
            Audiences::Several(names) => names,
        }
    }
}

/// What claims must say to be believed.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ClaimRules {
    /// One of these must be in `aud`; if there is none, a token must not have an `aud`.
    pub audiences: Vec<String>,
    /// What `iss` must be, if anything.
    pub issuer: Option<String>,
    /// Whether a token may go without `exp` and so be good for ever.
    pub allow_endless: bool,
}

impl Claims {
    /// Reads claims from JSON.
    ///
    /// # Errors
    /// Says which claim is of the wrong type.
    pub fn parse(json: &[u8]) -> Result<Self, TokenError> {
        serde_json::from_slice(json).map_err(|error| {
            if error.is_data() {
                TokenError::Claim(format!("a claim of the token is not what it should be: {error}"))
            } else {
                TokenError::Malformed
            }
        })
    }

    /// Checks the claims at the time `now_ms` and says whose they are.
    ///
    /// # Errors
    /// Says which claim is not believed.
    pub fn check(self, rules: &ClaimRules, now_ms: u64) -> Result<Identity, TokenError> {
        let expires_ms = self.check_times(rules, now_ms)?;
        self.check_parties(rules)?;
        let user = self.sub.map(checked_user).transpose()?;
        let FanwireClaims { publish, subscribe, info } = self.fanwire.unwrap_or_default();
        let grants = Grants { publish: patterns(publish)?, subscribe: patterns(subscribe)? };
        let info = info.map(|info| checked_info(info.get())).transpose()?;
        Ok(Identity::holder(Holder { user, info, grants, expires_ms, ..Holder::default() }))
    }

    /// Returns when the token ends.
    fn check_times(&self, rules: &ClaimRules, now_ms: u64) -> Result<Option<u64>, TokenError> {
        let time = |name: &str, seconds: Option<Seconds>| match seconds.map(Seconds::to_ms) {
            Some(None) => Err(claim(format!("'{name}' of the token must be seconds since 1970"))),
            Some(ms) => Ok(ms),
            None => Ok(None),
        };
        let expires_ms = time("exp", self.exp)?;
        if expires_ms.is_some_and(|expires_ms| expires_ms <= now_ms) {
            return Err(TokenError::Expired);
        }
        if expires_ms.is_none() && !rules.allow_endless {
            return Err(claim("the token has no 'exp': this broker wants to know when it ends"));
        }
        let begins_ms = time("nbf", self.nbf)?;
        if begins_ms.is_some_and(|begins_ms| begins_ms > now_ms + AHEAD_MS_MAX) {
            return Err(claim("the token is not valid yet ('nbf'): is the clock of whoever made it right?"));
        }
        Ok(expires_ms)
    }

    fn check_parties(&self, rules: &ClaimRules) -> Result<(), TokenError> {
        if rules.issuer.is_some() && self.iss != rules.issuer {
            return Err(claim("the token was not made by the issuer ('iss') that this broker trusts"));
        }
        let audiences = self.aud.as_ref().map_or(&[][..], Audiences::names);
        let is_for_us = audiences.iter().any(|name| rules.audiences.contains(name));
        let names_nobody = self.aud.is_none() && rules.audiences.is_empty();
        if is_for_us || names_nobody {
            return Ok(());
        }
        Err(claim("the token was made for another audience ('aud') than this broker"))
    }
}

fn checked_user(user: String) -> Result<Arc<str>, TokenError> {
    if user.is_empty() || user.len() > USER_BYTES_MAX {
        return Err(claim(format!("'sub' of the token must have 1 to {USER_BYTES_MAX} bytes")));
    }
    Ok(user.into())
}

fn checked_info(json: &str) -> Result<Payload, TokenError> {
    if json.len() > INFO_BYTES_MAX {
        return Err(claim(format!("'info' of the token must have at most {INFO_BYTES_MAX} bytes")));
    }
    Payload::from_json(json).map_err(|error| claim(format!("'info' of the token: {error}")))
}

fn patterns(texts: Vec<String>) -> Result<Vec<Pattern>, TokenError> {
    let pattern = |text: String| {
        let told = |error| {
            claim(format!("the token grants '{}', which is no pattern: {error}", text.escape_debug()))
        };
        Pattern::new(&text).map_err(told)
    };
    texts.into_iter().map(pattern).collect()
}

fn claim(message: impl Into<String>) -> TokenError {
    TokenError::Claim(message.into())
}
