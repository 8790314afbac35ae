//! The hashes of API keys, the credentials of back ends. The configuration holds the hash, never the key.
//!
//! A key is 32 random bytes. It cannot be guessed from its hash, so no slow password hash is needed.

use std::fmt;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use fanwire_core::identity::{GrantHolder, Grants};
use ring::digest::{SHA256, digest};
use ring::rand::{SecureRandom, SystemRandom};

use crate::secret::{Secret, number_for};

/// The prefix of every key. It distinguishes keys from tokens, and lets secret scanners find leaked keys.
pub const KEY_PREFIX: &str = "fwk_";

/// The prefix of a written hash.
const HASH_PREFIX: &str = "sha256:";

/// The hash of an API key, as it stands in the configuration.
#[derive(Clone, PartialEq, Eq)]
pub struct KeyHash([u8; 32]);

/// An error for a text that is not the hash of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not the hash of a key: make a key and its hash with 'fanwire token key NAME'")]
pub struct KeyHashError;

impl KeyHash {
    /// Returns the hash of `key`.
    pub fn of(key: &str) -> Self {
        let mut hash = [0; 32];
        hash.copy_from_slice(digest(&SHA256, key.as_bytes()).as_ref());
        Self(hash)
    }

    /// Generates a key and its hash. Returns `None` if the operating system provides no randomness.
    pub fn generate() -> Option<(Secret, Self)> {
        let mut bytes = [0; 32];
        SystemRandom::new().fill(&mut bytes).ok()?;
        let key = format!("{KEY_PREFIX}{}", URL_SAFE_NO_PAD.encode(bytes));
        let hash = Self::of(&key);
        Some((Secret::new(key), hash))
    }

    /// Returns the mark of an identity that this key gives with these grants. Re-authorization compares it.
    pub(crate) fn voucher(&self, grants: &Grants, is_admin: bool) -> GrantHolder {
        let terms = number_for(format!("{grants:?} {is_admin}").as_bytes());
        GrantHolder { key: number_for(&self.0), terms }
    }

    /// Returns whether both are equal. The time does not depend on where they differ.
    pub(crate) fn equals(&self, other: &Self) -> bool {
        let difference = self.0.iter().zip(&other.0).fold(0, |sum, (left, right)| sum | (left ^ right));
        std::hint::black_box(difference) == 0
    }
}

impl FromStr for KeyHash {
    type Err = KeyHashError;

    fn from_str(text: &str) -> Result<Self, KeyHashError> {
        let encoded = text.strip_prefix(HASH_PREFIX).ok_or(KeyHashError)?;
        let bytes = URL_SAFE_NO_PAD.decode(encoded).map_err(|_| KeyHashError)?;
        bytes.try_into().map(Self).map_err(|_| KeyHashError)
    }
}

impl fmt::Display for KeyHash {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{HASH_PREFIX}{}", URL_SAFE_NO_PAD.encode(self.0))
    }
}

impl fmt::Debug for KeyHash {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("KeyHash(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_hash_is_refused() {
        for text in ["", "sha256:", "sha256:AAAA", "md5:x", "fwk_abc", "sha256:!", &"A".repeat(43)] {
            assert_eq!(text.parse::<KeyHash>(), Err(KeyHashError), "{text}");
        }
    }
}
