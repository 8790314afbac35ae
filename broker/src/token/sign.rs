//! Signs tokens, for `fanwire token` and for tests. A running broker signs none.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::hmac;
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, RSA_PKCS1_SHA256, RsaKeyPair,
};
use rustls_pki_types::PrivateKeyDer;
use rustls_pki_types::pem::PemObject;

use super::key::hmac_of;
use super::{Algorithm, Claims, KeyError, SECRET_BYTES_MIN};

/// A key that signs tokens.
pub struct SigningKey {
    algorithm: Algorithm,
    material: Material,
}

enum Material {
    Secret(hmac::Key),
    Rsa(Box<RsaKeyPair>),
    P256(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
}

/// An error that prevents signing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignError {
    /// The secret cannot be used.
    #[error(transparent)]
    Secret(#[from] KeyError),
    /// The algorithm needs a private key.
    #[error("{0} is signed with a private key, not with a secret")]
    NotASecret(Algorithm),
    /// The text holds no private key of a kind that can sign.
    #[error(
        "there is no private key in it that can sign: it must hold a PEM block with a key of RSA, P-256 or Ed25519"
    )]
    NoKey,
    /// The operating system provides no randomness, or the key is damaged.
    #[error("the key does not sign")]
    Failed,
}

impl SigningKey {
    /// Creates a key of a shared secret.
    ///
    /// # Errors
    /// If the secret is too short, or the algorithm uses none.
    pub fn secret(algorithm: Algorithm, secret: &[u8]) -> Result<Self, SignError> {
        if secret.len() < SECRET_BYTES_MIN {
            return Err(KeyError::ShortSecret(secret.len()).into());
        }
        let hash = hmac_of(algorithm).ok_or(SignError::NotASecret(algorithm))?;
        Ok(Self { algorithm, material: Material::Secret(hmac::Key::new(hash, secret)) })
    }

    /// Reads the private key of a PEM file. Its kind determines the algorithm.
    ///
    /// # Errors
    /// If there is no key of a kind that can sign tokens.
    pub fn from_pem(pem: &[u8]) -> Result<Self, SignError> {
        let key = PrivateKeyDer::from_pem_slice(pem).map_err(|_| SignError::NoKey)?;
        let der = key.secret_der();
        if let PrivateKeyDer::Pkcs1(_) = key {
            let pair = RsaKeyPair::from_der(der).map_err(|_| SignError::NoKey)?;
            return Ok(Self { algorithm: Algorithm::Rs256, material: Material::Rsa(Box::new(pair)) });
        }
        if let Ok(pair) = Ed25519KeyPair::from_pkcs8_maybe_unchecked(der) {
            return Ok(Self { algorithm: Algorithm::EdDsa, material: Material::Ed25519(pair) });
        }
        let random = SystemRandom::new();
        if let Ok(pair) = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, der, &random) {
            return Ok(Self { algorithm: Algorithm::Es256, material: Material::P256(pair) });
        }
        let pair = RsaKeyPair::from_pkcs8(der).map_err(|_| SignError::NoKey)?;
        Ok(Self { algorithm: Algorithm::Rs256, material: Material::Rsa(Box::new(pair)) })
    }

    /// Returns the algorithm of the key.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// Signs a token with `claims`. `key_id` becomes its `kid`.
    ///
    /// # Errors
    /// If the key does not sign.
    pub fn sign(&self, claims: &Claims, key_id: Option<&str>) -> Result<String, SignError> {
        let mut header = serde_json::json!({"alg": self.algorithm.as_str(), "typ": "JWT"});
        if let Some(key_id) = key_id {
            header["kid"] = key_id.into();
        }
        let claims = serde_json::to_vec(claims).map_err(|_| SignError::Failed)?;
        let mut token = URL_SAFE_NO_PAD.encode(header.to_string());
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(claims, &mut token);
        let signature = self.signature(token.as_bytes())?;
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(signature, &mut token);
        Ok(token)
    }

    fn signature(&self, message: &[u8]) -> Result<Vec<u8>, SignError> {
        let random = SystemRandom::new();
        match &self.material {
            Material::Secret(key) => Ok(hmac::sign(key, message).as_ref().to_vec()),
            Material::Ed25519(pair) => Ok(pair.sign(message).as_ref().to_vec()),
            Material::P256(pair) => {
                let signature = pair.sign(&random, message).map_err(|_| SignError::Failed)?;
                Ok(signature.as_ref().to_vec())
            }
            Material::Rsa(pair) => {
                let mut signature = vec![0; pair.public().modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature)
                    .map_err(|_| SignError::Failed)?;
                Ok(signature)
            }
        }
    }
}
