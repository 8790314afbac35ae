//! Authentication: browser origins, tokens and API keys.
//!
//! A leaf: it judges headers and credentials, and does not know connections or sessions. The core decides what an
//! authenticated client may do.

mod api_key;
mod authenticator;
mod authority;
mod credential;
mod key_set;
mod origin;

pub(crate) use api_key::ApiKey;
pub(crate) use authenticator::{Admission, Authenticator, Reauthorization, SharedAuthenticator};
pub(crate) use authority::{Authority, Origin, Scheme};
pub(crate) use key_set::{
    FETCH_INTERVAL_MIN, FETCH_TIMEOUT, KEY_SET_BYTES_MAX, KEYS_GOOD_FOR, KeySet, REFRESH_INTERVAL,
};
pub(crate) use origin::{Reach, SharedOrigins, Verdict};
