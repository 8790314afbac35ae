//! Who is let in: browser origins.
//!
//! A leaf: it judges headers and knows nothing of connections or sessions.

mod origin;

pub(crate) use origin::{SharedOrigins, Verdict};
