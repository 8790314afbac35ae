//! From the configuration to the credentials that the broker accepts. Reads the files that the configuration names.

use std::path::Path;
use std::sync::Arc;

use fanwire_core::identity::{Holder, Identity};
use fanwire_core::rules::Access;

use super::error::ServeError;
use crate::auth::{ApiKey, Authenticator, KeySet, Origin, Reach};
use crate::config::Config;
use crate::operator_file::{self, FileError};
use crate::pusher::voucher_of;
use crate::token::{Algorithm, ClaimRules, KeyError, VerifyingKey};

/// Creates the authenticator that `config` describes. `key_set` is the key set that the configuration names, if it names one.
///
/// # Errors
/// If a file cannot be read or holds no key. No error repeats the content of a file.
pub(super) fn authenticator_of(
    config: &Config,
    key_set: Option<Arc<KeySet>>,
) -> Result<Authenticator, ServeError> {
    let auth = &config.auth;
    let mut keys = Vec::new();
    if let Some(secret) = &auth.secret {
        keys.push(
            VerifyingKey::secret(secret.reveal().as_bytes()).map_err(|error| wrong("auth.secret", &error))?,
        );
    }
    if let Some(path) = &auth.secret_file {
        let key = "auth.secret_file";
        let text = operator_file::read_secret(key, path).map_err(|error| unreadable(key, path, &error))?;
        keys.push(
            VerifyingKey::secret(text.trim_ascii_end())
                .map_err(|error| wrong_file("auth.secret_file", path, &error))?,
        );
    }
    if let Some(path) = &auth.public_key_file {
        let pem =
            operator_file::read(path).map_err(|error| unreadable("auth.public_key_file", path, &error))?;
        let read = VerifyingKey::from_pem(&pem);
        keys.extend(read.map_err(|error| wrong_file("auth.public_key_file", path, &error))?);
    }
    if !auth.algorithms.is_empty() {
        keys = keys.into_iter().map(|key| key.only_for(&auth.algorithms)).collect();
        let is_used = |asked: &Algorithm| {
            keys.iter().any(|key| key.is_for(*asked)) || (auth.jwks_url.is_some() && !asked.is_symmetric())
        };
        if let Some(unused) = auth.algorithms.iter().find(|asked| !is_used(asked)) {
            return Err(ServeError::Auth(format!(
                "auth.algorithms accepts {unused}, but there is no key for it: add the key or remove the algorithm"
            )));
        }
    }
    let claims = ClaimRules {
        audiences: auth.audience.clone(),
        issuer: auth.issuer.clone(),
        allow_endless: auth.allow_endless,
    };
    let api_keys = config.keys.iter().map(|key| ApiKey {
        name: key.name.clone(),
        hash: key.hash.clone(),
        identity: Identity::holder(Holder {
            grants: key.grants.clone(),
            is_admin: key.admin,
            voucher: Some(key.hash.voucher(&key.grants, key.admin)),
            ..Holder::default()
        }),
    });
    Ok(Authenticator {
        keys,
        key_set,
        claims,
        api_keys: api_keys.collect(),
        allows_anonymous: auth.anonymous,
        cookie: auth.cookie.clone(),
        guest_vouchers: config.pusher_apps.iter().map(|app| voucher_of(&app.id, &app.key)).collect(),
    })
}

/// Checks that every origin in `origins` is one. An origin that no page can have would be listed and admit no page.
///
/// # Errors
/// Names the first entry that is not an origin.
pub(super) fn check_origins(config: &Config) -> Result<(), ServeError> {
    let wrong = config.origins.iter().find(|text| *text != "*" && Origin::parse(text).is_none());
    wrong.map_or(Ok(()), |text| {
        Err(ServeError::Auth(format!(
            "origins: '{text}' is not an origin: write it as browsers send it, as in 'https://app.example' or \
             'http://localhost:3000'"
        )))
    })
}

/// Returns the clients that the broker is there for.
pub(super) fn reach_of(config: &Config) -> Reach {
    if config.listen.ip().is_loopback() && !config.has_authentication() {
        Reach::ThisMachine
    } else {
        Reach::Network
    }
}

/// Returns the access to topics that no rule matches: an open broker is open, every other requires a grant.
pub(super) fn unruled_access(config: &Config) -> Access {
    if config.has_authentication() { Access::Granted } else { Access::Anyone }
}

fn unreadable(key: &str, path: &Path, error: &FileError) -> ServeError {
    ServeError::Auth(format!("{key}: cannot read {}: {error}", path.display()))
}

fn wrong(key: &str, error: &KeyError) -> ServeError {
    ServeError::Auth(format!("{key}: {error}"))
}

fn wrong_file(key: &str, path: &Path, error: &KeyError) -> ServeError {
    ServeError::Auth(format!("{key}: {}: {error}", path.display()))
}
