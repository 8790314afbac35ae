//! Who is let in: browser origins, tokens and keys.
//!
//! A leaf: it judges headers and credentials, and knows nothing of connections or sessions. What whoever is let in may do is
//! decided by the core.

mod api_key;
mod authenticator;
mod credential;
mod key_set;
mod origin;

pub(crate) use api_key::ApiKey;
pub(crate) use authenticator::{Admission, Authenticator, Reauthorization, SharedAuthenticator};
pub(crate) use key_set::{
    FETCH_INTERVAL_MIN, FETCH_TIMEOUT, KEY_SET_BYTES_MAX, KEYS_GOOD_FOR, KeySet, REFRESH_INTERVAL,
};
pub(crate) use origin::{Reach, SharedOrigins, Verdict};
