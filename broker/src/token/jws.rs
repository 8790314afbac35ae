//! The outer form of a token: header, claims and signature (RFC 7515 §3.1, the compact serialization).

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;

use super::{Algorithm, Claims, TokenError, VerifyingKey};

/// The maximum length of a token in bytes.
pub const TOKEN_BYTES_MAX: usize = 8 * 1024;

/// The header of a token. A member given twice is refused (RFC 7515 §4).
#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    /// Whether there is a member `crit`, whatever its value: `null` is no list of extensions either (RFC 7515 §4.1.11).
    #[serde(default, deserialize_with = "is_there")]
    crit: bool,
}

fn is_there<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    serde::de::IgnoredAny::deserialize(deserializer).map(|_| true)
}

/// A token that was read but not verified.
pub struct Unverified<'a> {
    algorithm: Algorithm,
    key_id: Option<String>,
    /// The header and the claims, in the form in which they were signed.
    signed: &'a str,
    claims: &'a str,
    signature: Vec<u8>,
}

impl<'a> Unverified<'a> {
    /// Reads a token.
    ///
    /// # Errors
    /// If the text is too long, is not a token, or names an unknown algorithm.
    pub fn parse(token: &'a str) -> Result<Self, TokenError> {
        if token.len() > TOKEN_BYTES_MAX {
            return Err(TokenError::TooLong);
        }
        let (signed, signature) = token.rsplit_once('.').ok_or(TokenError::Malformed)?;
        let (header, claims) = signed.split_once('.').ok_or(TokenError::Malformed)?;
        let header: Header =
            serde_json::from_slice(&decoded_object(header)?).map_err(|_| TokenError::Malformed)?;
        if header.crit {
            return Err(TokenError::Critical);
        }
        let algorithm = header.alg.parse().map_err(|_| TokenError::Algorithm)?;
        Ok(Self { algorithm, key_id: header.kid, signed, claims, signature: decoded(signature)? })
    }

    /// Returns the algorithm that the token names.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// Returns the name of the key that the token names.
    pub fn key_id(&self) -> Option<&str> {
        self.key_id.as_deref()
    }

    /// Returns whether `key` may have signed the token: it is for the algorithm, and has the same name if both have one.
    pub fn may_be_of(&self, key: &VerifyingKey) -> bool {
        let is_named = match (self.key_id(), key.id()) {
            (Some(asked), Some(known)) => asked == known,
            _ => true,
        };
        is_named && key.is_for(self.algorithm)
    }

    /// Verifies the signature, and only then reads the claims.
    ///
    /// # Errors
    /// If none of `keys` made the signature, or the claims are not valid.
    pub fn verify(&self, keys: &[VerifyingKey]) -> Result<Claims, TokenError> {
        self.verify_by(keys).map(|(claims, _)| claims)
    }

    /// Does the same and also returns the key that made the signature.
    ///
    /// # Errors
    /// As [`Unverified::verify`].
    pub fn verify_by<'k>(&self, keys: &'k [VerifyingKey]) -> Result<(Claims, &'k VerifyingKey), TokenError> {
        if !keys.iter().any(|key| key.is_for(self.algorithm)) {
            return Err(TokenError::Algorithm);
        }
        let mut candidates = keys.iter().filter(|key| self.may_be_of(key)).peekable();
        if candidates.peek().is_none() {
            return Err(TokenError::UnknownKey);
        }
        let signed = self.signed.as_bytes();
        let key = candidates.find(|key| key.verifies(self.algorithm, signed, &self.signature));
        let key = key.ok_or(TokenError::Signature)?;
        Ok((self.claims()?, key))
    }

    /// Returns the claims without verification: any client may have written them.
    ///
    /// # Errors
    /// If the claims are not valid.
    pub fn claims(&self) -> Result<Claims, TokenError> {
        Claims::parse(&decoded_object(self.claims)?)
    }
}

/// Decodes a part that must hold a JSON object. serde would take an array for one, too.
fn decoded_object(part: &str) -> Result<Vec<u8>, TokenError> {
    let json = decoded(part)?;
    if json.trim_ascii_start().starts_with(b"{") { Ok(json) } else { Err(TokenError::Malformed) }
}

fn decoded(part: &str) -> Result<Vec<u8>, TokenError> {
    URL_SAFE_NO_PAD.decode(part).map_err(|_| TokenError::Malformed)
}
