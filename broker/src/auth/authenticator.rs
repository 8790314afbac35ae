//! Turns the credentials of a request into an identity: tokens, API keys, or none.

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

/// The credentials that the broker accepts.
#[derive(Debug, Default)]
pub(crate) struct Authenticator {
    /// The keys that verify tokens.
    pub(crate) keys: Vec<VerifyingKey>,
    /// Further keys, which an identity provider publishes.
    pub(crate) key_set: Option<Arc<KeySet>>,
    /// The conditions for claims.
    pub(crate) claims: ClaimRules,
    /// The API keys of back ends.
    pub(crate) api_keys: Vec<ApiKey>,
    /// Whether clients without credentials may connect.
    pub(crate) allows_anonymous: bool,
    /// The cookie that may hold a token.
    pub(crate) cookie: Option<String>,
    /// The vouchers of guests: one for each app of a dialect.
    pub(crate) guest_vouchers: Vec<GrantHolder>,
}

/// The result of authenticating a request.
#[derive(Debug, Clone)]
pub(crate) enum Admission {
    /// The broker is open and requires no credentials.
    Open,
    /// The credentials are accepted.
    Admitted(Identity),
    /// The request has no credentials, and the broker requires them.
    Missing,
    /// The credentials are not accepted.
    Refused(Refusal),
}

impl Admission {
    /// Returns the identity of the client.
    ///
    /// # Errors
    /// If the request has no credentials that the broker accepts.
    pub(crate) fn into_identity(self) -> Result<Identity, Refusal> {
        match self {
            Admission::Open => Ok(Identity::Anonymous),
            Admission::Admitted(identity) => Ok(identity),
            Admission::Refused(refusal) => Err(refusal),
            Admission::Missing => {
                let message = "this broker requires credentials: send a token as 'Authorization: Bearer TOKEN', \
                               as '?token=TOKEN', or in the 'connect' frame of a WebSocket session";
                Err(Refusal { code: ErrorCode::Unauthorized, message: message.to_owned() })
            }
        }
    }
}

impl Admission {
    /// Checks that the client is an administrator. On an open broker every client is.
    ///
    /// # Errors
    /// Names the credentials that are needed.
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
                "this needs a key with 'admin = true' in its [[key]], as 'Authorization: Bearer KEY'",
            ),
        };
        Err(Refusal { code, message: message.to_owned() })
    }
}

/// The result of checking again the credentials of an open session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Reauthorization {
    /// The credentials are still accepted.
    Good,
    /// The credentials are accepted, but give other rights now. The text is a sentence for the client.
    Changed(String),
    /// The credentials are no longer accepted.
    Gone(Refusal),
}

impl Authenticator {
    /// Returns whether the broker requires credentials. If not, it is open.
    pub(crate) fn is_on(&self) -> bool {
        !self.keys.is_empty() || self.key_set.is_some() || !self.api_keys.is_empty()
    }

    /// Authenticates a request. Cookies count only if `has_cookies` says that the page of the request may use them.
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

    /// Returns the identity that a token or key gives.
    ///
    /// # Errors
    /// If the token or key is not accepted.
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
            // Key sets hold no shared secrets, so for a token that is signed with one there is nothing to fetch.
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

    /// Checks whether this authenticator still accepts the credentials of `identity`, which another one may have accepted. Tokens
    /// that a key of an identity provider signed count as accepted until they end, because such keys change.
    pub(crate) fn standing(&self, identity: &Identity) -> Reauthorization {
        if let Identity::Holder(holder) = identity
            && holder.is_guest
        {
            let is_known = holder.voucher.is_some_and(|voucher| self.guest_vouchers.contains(&voucher));
            return if is_known {
                Reauthorization::Good
            } else {
                gone("the app of this session is not configured any more: connect with the key of another")
            };
        }
        let voucher = match identity {
            _ if !self.is_on() => return Reauthorization::Good,
            Identity::Anonymous if self.allows_anonymous => return Reauthorization::Good,
            Identity::Anonymous => {
                return gone("this broker requires credentials now: reconnect with a token");
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
                Reauthorization::Changed("the rights of this key have changed: reconnect with it".to_owned())
            }
            None => gone("the credentials of this session were revoked: reconnect with new credentials"),
        }
    }
}

fn gone(message: &str) -> Reauthorization {
    Reauthorization::Gone(Refusal { code: ErrorCode::Unauthorized, message: message.to_owned() })
}

/// The authenticator that all workers share. It may be replaced while they run.
#[derive(Debug, Default)]
pub(crate) struct SharedAuthenticator {
    current: ArcSwap<Authenticator>,
    changes: AtomicU64,
}

impl SharedAuthenticator {
    /// Shares `authenticator` between the workers.
    pub(crate) fn new(authenticator: Authenticator) -> Self {
        Self { current: ArcSwap::from_pointee(authenticator), changes: AtomicU64::new(0) }
    }

    /// Replaces the authenticator. Each worker then checks its open sessions again.
    pub(crate) fn change(&self, authenticator: Authenticator) {
        self.current.store(Arc::new(authenticator));
        // A reader that sees the new count sees the new authenticator, too.
        self.changes.fetch_add(1, Ordering::Release);
    }

    /// Returns how often the authenticator was replaced.
    pub(crate) fn changes(&self) -> u64 {
        self.changes.load(Ordering::Acquire)
    }

    /// Returns whether the broker requires credentials now.
    pub(crate) fn has_authentication(&self) -> bool {
        self.current.load().is_on()
    }

    /// Returns the current authenticator.
    pub(crate) fn current(&self) -> Arc<Authenticator> {
        self.current.load_full()
    }
}
