//! Identities: the result of checking the credentials of a session or request.
//!
//! This file does not know how a token or key is checked, which the broker does, nor what an identity may do, which `access` decides.

use std::fmt;
use std::sync::Arc;

use fanwire_protocol::{Pattern, Payload};

/// The identity of a session or request. Cloning is cheap.
#[derive(Debug, Clone, PartialEq)]
pub enum Identity {
    /// No credentials were shown.
    Anonymous,
    /// The holder of a token or key that was accepted.
    Holder(Arc<Holder>),
}

/// The holder of accepted credentials.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Holder {
    /// The user id; `None` for a back end with a key, and for a token without a subject.
    pub user: Option<Arc<str>>,
    /// The info of the user in presence.
    pub info: Option<Payload>,
    /// The permissions of the holder beyond those of the rules.
    pub grants: Grants,
    /// Whether the holder may use the operators' part of the server API.
    pub is_admin: bool,
    /// The time at which the credentials end, in milliseconds since 1970; `None` for never.
    pub expires_ms: Option<u64>,
    /// Whether the holder counts as anonymous where access needs credentials: it has shown the public key of a dialect's app,
    /// which admits it and grants nothing by itself.
    pub is_guest: bool,
    /// The configured key that the credentials rest on; `None` if they rest on something else.
    pub voucher: Option<GrantHolder>,
}

/// The configured key that accepted the credentials of a holder. It tells only whether the key and its grants are still the same.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct GrantHolder {
    /// A fingerprint of the key.
    pub key: u64,
    /// A fingerprint of what the key grants by itself; 0 if the token says that.
    pub terms: u64,
}

impl fmt::Debug for GrantHolder {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Voucher")
    }
}

/// The permissions of an identity beyond those of the rules.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Grants {
    /// The topics to which it may publish.
    pub publish: Vec<Pattern>,
    /// The topics to which it may subscribe and which it may read.
    pub subscribe: Vec<Pattern>,
}

impl Identity {
    /// Returns the identity of a holder.
    pub fn holder(holder: Holder) -> Self {
        Self::Holder(Arc::new(holder))
    }

    /// Returns the identity of a user without grants whose credentials never end.
    pub fn user_named(id: impl Into<Arc<str>>) -> Self {
        Self::holder(Holder { user: Some(id.into()), ..Holder::default() })
    }

    /// Returns the same identity, resting on `voucher`.
    #[must_use]
    pub fn vouched_for(self, voucher: GrantHolder) -> Self {
        match self {
            Identity::Anonymous => self,
            Identity::Holder(holder) => {
                Self::holder(Holder { voucher: Some(voucher), ..Arc::unwrap_or_clone(holder) })
            }
        }
    }

    /// Returns the user id, if there is one.
    pub fn user(&self) -> Option<&Arc<str>> {
        self.known()?.user.as_ref()
    }

    /// Returns what presence shows of the user.
    pub fn info(&self) -> Option<&Payload> {
        self.known()?.info.as_ref()
    }

    /// Returns the permissions beyond those of the rules.
    pub fn grants(&self) -> Option<&Grants> {
        self.known().map(|holder| &holder.grants)
    }

    /// Returns the time at which the credentials end, in milliseconds since 1970.
    pub fn expires_ms(&self) -> Option<u64> {
        self.known()?.expires_ms
    }

    /// Returns whether it may use the operators' part of the server API.
    pub fn is_admin(&self) -> bool {
        self.known().is_some_and(|holder| holder.is_admin)
    }

    /// Returns whether credentials were shown and accepted.
    pub fn is_authenticated(&self) -> bool {
        self.known().is_some_and(|holder| !holder.is_guest)
    }

    /// Returns whether it was admitted by the public key of a dialect's app.
    pub fn is_guest(&self) -> bool {
        self.known().is_some_and(|holder| holder.is_guest)
    }

    fn known(&self) -> Option<&Holder> {
        match self {
            Identity::Anonymous => None,
            Identity::Holder(holder) => Some(holder),
        }
    }
}
