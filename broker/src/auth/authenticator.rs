//! Who shows these credentials: tokens, API keys, and nobody.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwap;
use fanwire_core::access::Refusal;
use fanwire_core::identity::{GrantHolder, Identity};
use fanwire_protocol::ErrorCode;
use http::HeaderMap;

use super::api_key::{self, ApiKey};
use super::credential;
use super::key_set::KeySet;
use crate::clock;
use crate::key_hash::KEY_PREFIX;
use crate::token::{ClaimRules, TokenError, Unverified, VerifyingKey};

/// What is accepted as credentials.
#[derive(Debug, Default)]
pub(crate) struct Authenticator {
    /// What tokens may be signed with.
    pub(crate) keys: Vec<VerifyingKey>,
    /// What else tokens may be signed with, as an identity provider publishes it.
    pub(crate) key_set: Option<Arc<KeySet>>,
    /// What tokens must say.
    pub(crate) claims: ClaimRules,
    /// Keys of back ends.
    pub(crate) api_keys: Vec<ApiKey>,
    /// Whether whoever shows nothing is let in, too.
    pub(crate) allows_anonymous: bool,
    /// The cookie that may hold a token.
    pub(crate) cookie: Option<String>,
}

/// What became of somebody who came with credentials, or without.
#[derive(Debug, Clone)]
pub(crate) enum Admission {
    /// Nobody is asked: the broker is open.
    Open,
    /// Let in.
    Admitted(Identity),
    /// Nothing was shown, and nobody is let in without.
    Missing,
    /// What was shown is not accepted.
    Refused(Refusal),
}

impl Admission {
    /// Who was let in.
    ///
    /// # Errors
    /// Says why nobody was.
    pub(crate) fn into_identity(self) -> Result<Identity, Refusal> {
        match self {
            Admission::Open => Ok(Identity::Anonymous),
            Admission::Admitted(identity) => Ok(identity),
            Admission::Refused(refusal) => Err(refusal),
            Admission::Missing => {
                let message = "this broker wants to know who you are: send a token as 'Authorization: Bearer TOKEN', \
                               as '?token=TOKEN', or in the 'connect' frame of a WebSocket session";
                Err(Refusal { code: ErrorCode::Unauthorized, message: message.to_owned() })
            }
        }
    }
}

impl Admission {
    /// Whether whoever was let in may see and change what is the administrator's. On an open broker everybody may.
    ///
    /// # Errors
    /// Says what would do.
    pub(crate) fn check_admin(self) -> Result<(), Refusal> {
        if matches!(self, Admission::Open) {
            return Ok(());
        }
        let identity = self.into_identity()?;
        let (code, message) = match identity.is_authenticated() {
            _ if identity.is_admin() => return Ok(()),
            true => (ErrorCode::Forbidden, "only a key with 'admin = true' in its [[key]] opens this"),
            false => (
                ErrorCode::Unauthorized,
                "this wants a key with 'admin = true' as 'Authorization: Bearer KEY'",
            ),
        };
        Err(Refusal { code, message: message.to_owned() })
    }
}

/// Whether what somebody was let in with is still good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Reauthorization {
    /// It is.
    Good,
    /// It is, but gives something else now: the sentence says so.
    Changed(String),
    /// It is not.
    Gone(Refusal),
}

impl Authenticator {
    /// Whether credentials are looked at at all. If not, the broker is open.
    pub(crate) fn is_on(&self) -> bool {
        !self.keys.is_empty() || self.key_set.is_some() || !self.api_keys.is_empty()
    }

    /// Judges the credentials of a request. Cookies count only if `has_cookies` says that the page they came from may use
    /// them.
    pub(crate) async fn admit(&self, headers: &HeaderMap, query: &str, has_cookies: bool) -> Admission {
        if !self.is_on() {
            return Admission::Open;
        }
        let cookie = self.cookie.as_deref().filter(|_| has_cookies);
        match credential::find(headers, query, cookie) {
            Some(shown) => match self.check(shown.reveal()).await {
                Ok(identity) => Admission::Admitted(identity),
                Err(refusal) => Admission::Refused(refusal),
            },
            None if self.allows_anonymous => Admission::Admitted(Identity::Anonymous),
            None => Admission::Missing,
        }
    }

    /// Says who shows this token or key.
    ///
    /// # Errors
    /// Says why it is not accepted.
    pub(crate) async fn check(&self, shown: &str) -> Result<Identity, Refusal> {
        if shown.starts_with(KEY_PREFIX) {
            return match api_key::find(&self.api_keys, shown) {
                Some(key) => {
                    tracing::debug!(key = key.name, "API key accepted");
                    Ok(key.identity.clone())
                }
                None => {
                    let message = "this API key is not known here: was it revoked?".to_owned();
                    Err(Refusal { code: ErrorCode::Unauthorized, message })
                }
            };
        }
        let token = Unverified::parse(shown)?;
        let (claims, voucher) = match (token.verify_by(&self.keys), &self.key_set) {
            // Nobody publishes a shared secret, so for a token signed with one there is nothing to fetch.
            (Err(TokenError::Algorithm | TokenError::UnknownKey | TokenError::Signature), Some(key_set))
                if !token.algorithm().is_symmetric() =>
            {
                (token.verify(&key_set.keys_for(&token).await?)?, None)
            }
            (outcome, _) => {
                let (claims, key) = outcome?;
                (claims, Some(GrantHolder { key: key.voucher(token.algorithm()), terms: 0 }))
            }
        };
        let identity = claims.check(&self.claims, clock::unix_ms())?;
        Ok(match voucher {
            Some(voucher) => identity.vouched_for(voucher),
            None => identity,
        })
    }

    /// Whether what `identity` was let in with, perhaps by another authenticator, is good for this one. The keys of an identity
    /// provider come and go while tokens signed with them live, so they count as good until they end.
    pub(crate) fn standing(&self, identity: &Identity) -> Reauthorization {
        let voucher = match identity {
            _ if !self.is_on() => return Reauthorization::Good,
            Identity::Anonymous if self.allows_anonymous => return Reauthorization::Good,
            Identity::Anonymous => {
                return gone(
                    "this broker lets nobody in without credentials any more: come back with a token",
                );
            }
            Identity::Holder(holder) => holder.voucher,
        };
        let Some(voucher) = voucher else { return Reauthorization::Good };
        if self.keys.iter().any(|key| key.vouchers().any(|number| number == voucher.key)) {
            return Reauthorization::Good;
        }
        let vouchers = self.api_keys.iter().filter_map(|key| match &key.identity {
            Identity::Holder(holder) => holder.voucher,
            Identity::Anonymous => None,
        });
        match vouchers.filter(|known| known.key == voucher.key).max_by_key(|known| *known == voucher) {
            Some(known) if known == voucher => Reauthorization::Good,
            Some(_) => {
                Reauthorization::Changed("what this key may do has changed: come back with it".to_owned())
            }
            None => {
                gone("what this session was let in with has been revoked: come back with new credentials")
            }
        }
    }
}

fn gone(message: &str) -> Reauthorization {
    Reauthorization::Gone(Refusal { code: ErrorCode::Unauthorized, message: message.to_owned() })
}

/// The authenticator that all workers ask, and that may be replaced while they do.
#[derive(Debug, Default)]
pub(crate) struct SharedAuthenticator {
    current: ArcSwap<Authenticator>,
    changes: AtomicU64,
}

impl SharedAuthenticator {
    /// Asks `authenticator`.
    pub(crate) fn new(authenticator: Authenticator) -> Self {
        Self { current: ArcSwap::from_pointee(authenticator), changes: AtomicU64::new(0) }
    }

    /// Asks this one from now on. Who was let in before is looked at again by its worker.
    pub(crate) fn change(&self, authenticator: Authenticator) {
        self.current.store(Arc::new(authenticator));
        // Whoever sees the new count sees the new authenticator, too.
        self.changes.fetch_add(1, Ordering::Release);
    }

    /// How often it has been changed.
    pub(crate) fn changes(&self) -> u64 {
        self.changes.load(Ordering::Acquire)
    }

    /// Whether credentials are looked at at all, as it stands now.
    pub(crate) fn asks_for_credentials(&self) -> bool {
        self.current.load().is_on()
    }

    /// The one to ask now.
    pub(crate) fn current(&self) -> Arc<Authenticator> {
        self.current.load_full()
    }
}
