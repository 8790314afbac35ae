//! Credentials: the section `[auth]` and the `[[key]]` tables.
//!
//! This file owns their keys and the checks of each value. Key files are named here and read elsewhere.

use std::path::PathBuf;

use fanwire_core::identity::Grants;
use fanwire_protocol::Pattern;
use toml::de::DeValue;

use super::document::{Source, in_order};
use super::error::ConfigError;
use super::value::{Raw, kind};
use crate::key_hash::KeyHash;
use crate::secret::Secret;
use crate::token::Algorithm;

const KEYS: [&str; 5] = ["key.name", "key.hash", "key.publish", "key.subscribe", "key.admin"];

/// The credentials that are accepted. Without `secret`, `secret_file`, `public_key_file`, `jwks_url` and `[[key]]` the broker
/// requires none.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct AuthConfig {
    /// The secret that verifies tokens signed by HS256, HS384 or HS512.
    pub secret: Option<Secret>,
    /// A file with that secret.
    pub secret_file: Option<PathBuf>,
    /// A file with public keys (PEM), for tokens signed by RS256, ES256 or EdDSA.
    pub public_key_file: Option<PathBuf>,
    /// The URL of an identity provider's public keys (JSON Web Key Set).
    pub jwks_url: Option<String>,
    /// A file with certificates (PEM) of authorities to trust for this URL, besides those that browsers trust.
    pub jwks_ca_file: Option<PathBuf>,
    /// The accepted algorithms; if empty, all algorithms of the configured keys.
    pub algorithms: Vec<Algorithm>,
    /// The accepted audiences: a token's `aud` must contain one of them. If empty, a token must have no `aud`.
    pub audience: Vec<String>,
    /// The required issuer (`iss`) of a token.
    pub issuer: Option<String>,
    /// Whether a token without `exp` is accepted.
    pub allow_endless: bool,
    /// Whether clients without a token are accepted. They may do what the rules allow to anyone.
    pub anonymous: bool,
    /// The name of the cookie that may contain a token.
    pub cookie: Option<String>,
}

/// One API key of a back end.
#[derive(Debug, Clone, PartialEq)]
pub struct KeyConfig {
    /// The name, for operators.
    pub name: String,
    /// The hash of the key.
    pub hash: KeyHash,
    /// The topics that it may publish and subscribe to.
    pub grants: Grants,
    /// Whether it permits the administrator's paths.
    pub admin: bool,
}

impl AuthConfig {
    /// Returns whether a key that verifies tokens is configured.
    pub fn checks_tokens(&self) -> bool {
        self.secret.is_some()
            || self.secret_file.is_some()
            || self.public_key_file.is_some()
            || self.jwks_url.is_some()
    }
}

/// Reads the `[[key]]` tables. `offset` is the place of the key.
pub(super) fn read_keys(
    source: Source<'_>,
    offset: usize,
    value: &DeValue<'_>,
) -> Result<Vec<KeyConfig>, ConfigError> {
    let DeValue::Array(tables) = value else {
        let reason = format!("write each API key under its own [[key]], found {}", kind(value));
        return Err(source.bad_value(offset, "key", reason));
    };
    let mut keys: Vec<KeyConfig> = Vec::new();
    for table in tables {
        let key = read_key(source, table.span().start, table.get_ref())?;
        if keys.iter().any(|known| known.name == key.name) {
            let reason = format!("there are two keys named '{}': give each its own name", key.name);
            return Err(source.bad_value(table.span().start, "key.name", reason));
        }
        keys.push(key);
    }
    Ok(keys)
}

fn read_key(source: Source<'_>, offset: usize, value: &DeValue<'_>) -> Result<KeyConfig, ConfigError> {
    let DeValue::Table(table) = value else {
        let reason = format!("write each API key under its own [[key]], found {}", kind(value));
        return Err(source.bad_value(offset, "key", reason));
    };
    let (mut name, mut hash, mut grants, mut admin) = (None, None, Grants::default(), false);
    for (key, offset, value) in in_order(table) {
        let key = format!("key.{key}");
        let refused = |reason| source.bad_value(offset, &key, reason);
        let raw = Raw::Toml(value);
        match key.as_str() {
            "key.name" => name = Some(raw.word().map_err(refused)?.to_owned()),
            "key.hash" => hash = Some(read_hash(raw).map_err(refused)?),
            "key.publish" => grants.publish = read_patterns(raw).map_err(refused)?,
            "key.subscribe" => grants.subscribe = read_patterns(raw).map_err(refused)?,
            "key.admin" => admin = raw.switch().map_err(refused)?,
            _ => return Err(source.unknown_key(offset, &key, KEYS.into_iter())),
        }
    }
    let missing = |key: &str, reason: &str| ConfigError::MissingKey {
        place: source.place(offset),
        key: key.to_owned(),
        reason: reason.to_owned(),
    };
    Ok(KeyConfig {
        name: name.ok_or_else(|| missing("key.name", "an API key needs a name, which the log shows"))?,
        hash: hash
            .ok_or_else(|| missing("key.hash", "make a key and its hash with 'fanwire token key NAME'"))?,
        grants,
        admin,
    })
}

fn read_hash(raw: Raw<'_>) -> Result<KeyHash, String> {
    // The error does not repeat the text, which may be the key itself.
    raw.word()?.parse().map_err(|error: crate::key_hash::KeyHashError| error.to_string())
}

/// Reads a list of patterns.
pub(super) fn read_patterns(raw: Raw<'_>) -> Result<Vec<Pattern>, String> {
    let read = |text: &str| Pattern::new(text).map_err(|error| format!("'{text}' is not a pattern: {error}"));
    raw.list()?.iter().map(|text| read(text)).collect()
}

/// Reads a list of algorithms.
pub(super) fn read_algorithms(raw: Raw<'_>) -> Result<Vec<Algorithm>, String> {
    let read = |text: &str| {
        let refused = |error: crate::token::UnknownAlgorithm| format!("'{text}' is not accepted: {error}");
        text.parse().map_err(refused)
    };
    raw.list()?.iter().map(|text| read(text)).collect()
}

/// Reads a secret. Errors do not repeat it.
pub(super) fn read_secret(raw: Raw<'_>) -> Result<Option<Secret>, String> {
    Ok(raw.optional_word()?.map(Secret::new))
}

/// Reads the URL of a key set. An attacker who changes the key set can admit any client, so the URL must use TLS, unless it
/// is on this machine.
pub(super) fn read_jwks_url(raw: Raw<'_>) -> Result<Option<String>, String> {
    let Some(text) = raw.optional_word()? else { return Ok(None) };
    let uri: http::Uri = text.parse().map_err(|error| format!("'{text}' is not a URL: {error}"))?;
    let host = uri.host().unwrap_or("").trim_start_matches('[').trim_end_matches(']');
    let is_here =
        host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback());
    match uri.scheme_str() {
        Some("https") if !host.is_empty() => Ok(Some(text.to_owned())),
        Some("http") if is_here => Ok(Some(text.to_owned())),
        _ => Err(format!("'{text}' must be an https:// URL; http:// is accepted for this machine only")),
    }
}

/// Reads the name of a cookie (RFC 6265 §4.1.1).
pub(super) fn read_cookie(raw: Raw<'_>) -> Result<Option<String>, String> {
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(letter);
    match raw.optional_word()? {
        Some(name) if !name.chars().all(is_plain) => Err(format!("'{name}' is not the name of a cookie")),
        name => Ok(name.map(str::to_owned)),
    }
}
