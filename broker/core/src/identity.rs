//! Who a session or request is, and what it was given with its credentials.
//!
//! This file owns the result of checking credentials. How a token or key is checked is the broker's business; what an
//! identity may do is decided in `access`.

use std::fmt;
use std::sync::Arc;

use fanwire_protocol::{Pattern, Payload};

/// Who a session or request is, as far as the broker knows. Cloning is cheap.
#[derive(Debug, Clone, PartialEq)]
pub enum Identity {
    /// Nobody in particular: no credentials were shown.
    Anonymous,
    /// Whoever holds a token or key that was accepted.
    Holder(Arc<Holder>),
}

/// What is known of the holder of accepted credentials.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Holder {
    /// The user's id; `None` for a back end with a key, and for a token that names nobody.
    pub user: Option<Arc<str>>,
    /// What others are shown of the user in presence.
    pub info: Option<Payload>,
    /// What the holder may do beyond what the rules allow.
    pub grants: Grants,
    /// Whether the holder may see and change what is the administrator's.
    pub is_admin: bool,
    /// When the credentials end, in milliseconds since 1970; `None` for never.
    pub expires_ms: Option<u64>,
    /// What vouches for the credentials; `None` where that is not the broker's own configuration.
    pub voucher: Option<GrantHolder>,
}

/// What vouches for a holder: the key of the broker's that accepted the credentials, and what that key gives. It says nothing of
/// either, but whether they are still the same.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct GrantHolder {
    /// A number for the key.
    pub key: u64,
    /// A number for what the key gives by itself; 0 where that is up to the token.
    pub terms: u64,
}

impl fmt::Debug for GrantHolder {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Voucher")
    }
}

/// What one identity may do beyond what the rules allow.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Grants {
    /// Where to it may publish.
    pub publish: Vec<Pattern>,
    /// What it may subscribe to and read.
    pub subscribe: Vec<Pattern>,
}

impl Identity {
    /// The identity of whoever holds these credentials.
    pub fn holder(holder: Holder) -> Self {
        Self::Holder(Arc::new(holder))
    }

    /// The identity of a user without grants, whose credentials never end.
    pub fn user_named(id: impl Into<Arc<str>>) -> Self {
        Self::holder(Holder { user: Some(id.into()), ..Holder::default() })
    }

    /// The same identity, vouched for.
    #[must_use]
    pub fn vouched_for(self, voucher: GrantHolder) -> Self {
        match self {
            Identity::Anonymous => self,
            Identity::Holder(holder) => {
                Self::holder(Holder { voucher: Some(voucher), ..Arc::unwrap_or_clone(holder) })
            }
        }
    }

    /// The user id, when there is one.
    pub fn user(&self) -> Option<&Arc<str>> {
        self.known()?.user.as_ref()
    }

    /// What others are shown of the user.
    pub fn info(&self) -> Option<&Payload> {
        self.known()?.info.as_ref()
    }

    /// What it may do beyond what the rules allow.
    pub fn grants(&self) -> Option<&Grants> {
        self.known().map(|holder| &holder.grants)
    }

    /// When its credentials end, in milliseconds since 1970.
    pub fn expires_ms(&self) -> Option<u64> {
        self.known()?.expires_ms
    }

    /// Whether it may see and change what is the administrator's.
    pub fn is_admin(&self) -> bool {
        self.known().is_some_and(|holder| holder.is_admin)
    }

    /// Whether credentials were shown and accepted.
    pub fn is_authenticated(&self) -> bool {
        self.known().is_some()
    }

    fn known(&self) -> Option<&Holder> {
        match self {
            Identity::Anonymous => None,
            Identity::Holder(holder) => Some(holder),
        }
    }
}
