//! The claims of a token (RFC 7519 §4.1), and whether this broker accepts them.

use std::sync::Arc;

use fanwire_core::identity::{Grants, Holder, Identity};
use fanwire_protocol::{Pattern, Payload};
use serde::de::{DeserializeOwned, Error};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;

use super::TokenError;

/// The maximum length of a user id in bytes.
const USER_BYTES_MAX: usize = 255;

/// The maximum size of `info` in bytes. Every subscriber of presence receives it.
const INFO_BYTES_MAX: usize = 4096;

/// The maximum time in milliseconds by which the clock of the issuer may be ahead. `exp` has no such tolerance.
const AHEAD_MS_MAX: u64 = 30_000;

/// The latest time that is accepted, in seconds since 1970: about the year 5000.
const SECONDS_MAX: f64 = 1e11;

/// The claims of a token. Claims with other names are ignored.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Claims {
    /// The user that the token names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sub: Option<String>,
    /// The time of its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exp: Option<Seconds>,
    /// The time from which it is valid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nbf: Option<Seconds>,
    /// The time at which it was issued.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub iat: Option<Seconds>,
    /// The audience that it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub aud: Option<Audiences>,
    /// The issuer of the token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub iss: Option<String>,
    /// Its grants for the broker.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "object")]
    pub fanwire: Option<FanwireClaims>,
}

/// Reads an object or null. serde alone would take an array for a struct, its elements in the order of the fields.
fn object<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: DeserializeOwned,
{
    let Some(raw) = Option::<Box<RawValue>>::deserialize(deserializer)? else { return Ok(None) };
    if !raw.get().starts_with('{') {
        return Err(Error::custom("'fanwire' must be an object"));
    }
    serde_json::from_str(raw.get()).map(Some).map_err(Error::custom)
}

/// The grants of a token for the broker.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct FanwireClaims {
    /// Patterns of the topics it may publish to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub publish: Vec<String>,
    /// Patterns of the topics it may subscribe to and read.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub subscribe: Vec<String>,
    /// The info of the user in presence: any JSON value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub info: Option<Box<RawValue>>,
}

/// A time in seconds since 1970, perhaps with a fraction (RFC 7519 §2, NumericDate). A string is not a time.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Seconds(f64);

impl Seconds {
    /// Returns the time that many seconds after the start of 1970.
    pub fn new(seconds: u64) -> Self {
        Self(seconds as f64)
    }

    /// Returns the time in milliseconds, or `None` if it is before 1970 or too far in the future.
    pub fn to_ms(self) -> Option<u64> {
        (0.0..=SECONDS_MAX).contains(&self.0).then_some((self.0 * 1000.0) as u64)
    }
}

/// One audience or several (RFC 7519 §4.1.3).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Audiences {
    /// One audience as a text.
    One(String),
    /// Several audiences as a list.
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

/// The conditions under which claims are accepted.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ClaimRules {
    /// The accepted audiences: `aud` must name one of them. If the list is empty, a token must not have `aud`.
    pub audiences: Vec<String>,
    /// The required issuer, if one is required.
    pub issuer: Option<String>,
    /// Whether a token may have no `exp` and be valid for ever.
    pub allow_endless: bool,
}

impl Claims {
    /// Reads claims from JSON.
    ///
    /// # Errors
    /// Names the claim that has the wrong type.
    pub fn parse(json: &[u8]) -> Result<Self, TokenError> {
        serde_json::from_slice(json).map_err(|error| {
            if error.is_data() {
                TokenError::Claim(format!("a claim of the token is not what it should be: {error}"))
            } else {
                TokenError::Malformed
            }
        })
    }

    /// Checks the claims at the time `now_ms` and returns the identity that they give.
    ///
    /// # Errors
    /// Names the claim that is not accepted.
    pub fn check(self, rules: &ClaimRules, now_ms: u64) -> Result<Identity, TokenError> {
        let expires_ms = self.check_times(rules, now_ms)?;
        self.check_parties(rules)?;
        let user = self.sub.map(checked_user).transpose()?;
        let FanwireClaims { publish, subscribe, info } = self.fanwire.unwrap_or_default();
        let grants = Grants { publish: patterns(publish)?, subscribe: patterns(subscribe)? };
        let info = info.map(|info| checked_info(info.get())).transpose()?;
        Ok(Identity::holder(Holder { user, info, grants, expires_ms, ..Holder::default() }))
    }

    /// Returns the time at which the token ends.
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
            return Err(claim("the token has no 'exp': this broker requires one"));
        }
        let begins_ms = time("nbf", self.nbf)?;
        if begins_ms.is_some_and(|begins_ms| begins_ms > now_ms + AHEAD_MS_MAX) {
            return Err(claim("the token is not valid yet ('nbf'): is the clock of its issuer right?"));
        }
        Ok(expires_ms)
    }

    fn check_parties(&self, rules: &ClaimRules) -> Result<(), TokenError> {
        if rules.issuer.is_some() && self.iss != rules.issuer {
            return Err(claim("the token was not made by the issuer ('iss') that this broker trusts"));
        }
        let audiences = self.aud.as_ref().map_or(&[][..], Audiences::names);
        let is_for_us = audiences.iter().any(|name| rules.audiences.contains(name));
        let needs_no_audience = self.aud.is_none() && rules.audiences.is_empty();
        if is_for_us || needs_no_audience {
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
        let refused = |error| {
            claim(format!("the token grants '{}', which is no pattern: {error}", text.escape_debug()))
        };
        Pattern::new(&text).map_err(refused)
    };
    texts.into_iter().map(pattern).collect()
}

fn claim(message: impl Into<String>) -> TokenError {
    TokenError::Claim(message.into())
}
