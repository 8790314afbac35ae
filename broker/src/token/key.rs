//! The keys that verify signatures. Each has a list of the algorithms that it may be used with.

use std::fmt;

use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents, UnparsedPublicKey,
};
use ring::{hmac, signature};
use rustls_pki_types::SubjectPublicKeyInfoDer;
use rustls_pki_types::pem::PemObject;

use super::Algorithm;
use super::spki::{self, Kind};
use crate::secret::number_for;

/// The minimum length of a secret in bytes: that of the hash of HS256 (RFC 7518 §3.2). A shorter secret could be guessed from a
/// single token.
pub const SECRET_BYTES_MIN: usize = 32;

/// A key that verifies signatures, and the algorithms that it may be used with.
pub struct VerifyingKey {
    material: Material,
    /// The name in a key set, which a token's `kid` must equal.
    id: Option<String>,
    algorithms: Vec<Algorithm>,
}

enum Material {
    Secret(Box<[u8]>),
    Public(UnparsedPublicKey<Vec<u8>>),
    Rsa(RsaPublicKeyComponents<Vec<u8>>),
}

/// An error for a text that is not a key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// The secret is too short.
    #[error(
        "the secret has {0} bytes and must have at least {SECRET_BYTES_MIN}: make one with 'openssl rand -base64 32'"
    )]
    ShortSecret(usize),
    /// The text holds no public key.
    #[error("there is no public key in it: it must hold '-----BEGIN PUBLIC KEY-----' blocks (PEM)")]
    NoKey,
    /// The public key is damaged, or no algorithm of the broker uses its kind.
    #[error("it holds a public key that is damaged, or neither RSA nor P-256 nor Ed25519")]
    OtherKind,
}

impl VerifyingKey {
    /// Creates a key of a shared secret, for HS256, HS384 and HS512.
    ///
    /// # Errors
    /// If the secret is too short.
    pub fn secret(secret: &[u8]) -> Result<Self, KeyError> {
        if secret.len() < SECRET_BYTES_MIN {
            return Err(KeyError::ShortSecret(secret.len()));
        }
        let algorithms = vec![Algorithm::Hs256, Algorithm::Hs384, Algorithm::Hs512];
        Ok(Self { material: Material::Secret(secret.into()), id: None, algorithms })
    }

    /// Reads the public keys of a PEM file.
    ///
    /// # Errors
    /// If there is none, or a key that cannot be used.
    pub fn from_pem(pem: &[u8]) -> Result<Vec<Self>, KeyError> {
        let mut keys = Vec::new();
        for der in SubjectPublicKeyInfoDer::pem_slice_iter(pem) {
            let der = der.map_err(|_| KeyError::NoKey)?;
            let (kind, key) = spki::parse(&der).ok_or(KeyError::OtherKind)?;
            keys.push(match kind {
                Kind::Rsa => Self::public(&RSA_PKCS1_2048_8192_SHA256, Algorithm::Rs256, key),
                Kind::P256 => Self::p256(key),
                Kind::Ed25519 => Self::ed25519(key),
            });
        }
        if keys.is_empty() { Err(KeyError::NoKey) } else { Ok(keys) }
    }

    /// Creates a key of a point on P-256, uncompressed (SEC 1 §2.3.3), for ES256.
    pub fn p256(point: Vec<u8>) -> Self {
        Self::public(&ECDSA_P256_SHA256_FIXED, Algorithm::Es256, point)
    }

    /// Creates an Ed25519 key (RFC 8032 §5.1.5), for EdDSA.
    pub fn ed25519(key: Vec<u8>) -> Self {
        Self::public(&ED25519, Algorithm::EdDsa, key)
    }

    /// Creates an RSA key of its modulus and exponent, big-endian without leading zeros, for RS256.
    pub fn rsa(modulus: Vec<u8>, exponent: Vec<u8>) -> Self {
        let material = Material::Rsa(RsaPublicKeyComponents { n: modulus, e: exponent });
        Self { material, id: None, algorithms: vec![Algorithm::Rs256] }
    }

    fn public(
        check: &'static dyn signature::VerificationAlgorithm,
        algorithm: Algorithm,
        key: Vec<u8>,
    ) -> Self {
        let material = Material::Public(UnparsedPublicKey::new(check, key));
        Self { material, id: None, algorithms: vec![algorithm] }
    }

    /// Sets the name of the key, which the `kid` of a token must equal.
    pub fn named(mut self, id: impl Into<String>) -> Self {
        self.id = Some(id.into());
        self
    }

    /// Restricts the key to those of its algorithms that are in `algorithms`.
    pub fn only_for(mut self, algorithms: &[Algorithm]) -> Self {
        self.algorithms.retain(|algorithm| algorithms.contains(algorithm));
        self
    }

    /// Returns the name in a key set.
    pub fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    /// Returns whether the key may be used with any algorithm.
    pub fn is_for_any(&self) -> bool {
        !self.algorithms.is_empty()
    }

    /// Returns whether the key may be used with `algorithm`.
    pub fn is_for(&self, algorithm: Algorithm) -> bool {
        self.algorithms.contains(&algorithm)
    }

    /// Returns a number that stands for this key with `algorithm` and reveals nothing about the key.
    pub fn voucher(&self, algorithm: Algorithm) -> u64 {
        let mut text = algorithm.to_string().into_bytes();
        match &self.material {
            Material::Secret(secret) => text.extend_from_slice(secret),
            Material::Public(key) => text.extend_from_slice(key.as_ref()),
            Material::Rsa(key) => text.extend([key.n.as_slice(), &key.e].concat()),
        }
        number_for(&text)
    }

    /// Returns these numbers for all algorithms of the key.
    pub fn vouchers(&self) -> impl Iterator<Item = u64> {
        self.algorithms.iter().map(|algorithm| self.voucher(*algorithm))
    }

    /// Returns whether `signature` was made over `message` with this key and `algorithm`. The comparison takes constant time.
    pub fn verifies(&self, algorithm: Algorithm, message: &[u8], signature: &[u8]) -> bool {
        if !self.is_for(algorithm) {
            return false;
        }
        match &self.material {
            Material::Secret(secret) => hmac_of(algorithm)
                .is_some_and(|hash| hmac::verify(&hmac::Key::new(hash, secret), message, signature).is_ok()),
            Material::Public(key) => key.verify(message, signature).is_ok(),
            Material::Rsa(key) => key.verify(&RSA_PKCS1_2048_8192_SHA256, message, signature).is_ok(),
        }
    }
}

/// Returns the HMAC of an algorithm that uses one.
pub(super) fn hmac_of(algorithm: Algorithm) -> Option<hmac::Algorithm> {
    match algorithm {
        Algorithm::Hs256 => Some(hmac::HMAC_SHA256),
        Algorithm::Hs384 => Some(hmac::HMAC_SHA384),
        Algorithm::Hs512 => Some(hmac::HMAC_SHA512),
        Algorithm::Rs256 | Algorithm::Es256 | Algorithm::EdDsa => None,
    }
}

impl fmt::Debug for VerifyingKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "VerifyingKey({:?}, {:?})", self.id, self.algorithms)
    }
}
