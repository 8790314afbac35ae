//! The signature of calls, by which the application verifies their sender: HMAC-SHA256 (RFC 2104) of the time and the body.

use std::fmt::Write;
use std::sync::Arc;

use arc_swap::ArcSwap;
use ring::hmac;

use crate::secret::Secret;

/// The header that holds the signature.
pub(super) const HEADER: &str = "fanwire-signature";

/// Signs calls with a secret that may change while the broker runs.
pub(super) struct SharedSigner(ArcSwap<Signer>);

impl SharedSigner {
    /// Creates a signer that signs with `secret`.
    pub(super) fn new(secret: &Secret) -> Self {
        Self(ArcSwap::from_pointee(Signer::new(secret)))
    }

    /// Signs all further calls with `secret`.
    pub(super) fn change(&self, secret: &Secret) {
        self.0.store(Arc::new(Signer::new(secret)));
    }

    /// Returns the value of the header for a body that is sent `unix_seconds` after 1970 began.
    pub(super) fn sign(&self, unix_seconds: u64, body: &[u8]) -> String {
        self.0.load().sign(unix_seconds, body)
    }
}

struct Signer(hmac::Key);

impl Signer {
    fn new(secret: &Secret) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, secret.reveal().as_bytes()))
    }

    fn sign(&self, unix_seconds: u64, body: &[u8]) -> String {
        let mut context = hmac::Context::with_key(&self.0);
        context.update(unix_seconds.to_string().as_bytes());
        context.update(b".");
        context.update(body);
        let mut value = format!("t={unix_seconds},v1=");
        for byte in context.sign().as_ref() {
            write!(value, "{byte:02x}").expect("writing to a string cannot fail");
        }
        value
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signature_covers_the_time_and_the_body() {
        // Another implementation of HMAC computed the value.
        let signer = Signer::new(&Secret::new("a secret of sixteen"));
        assert_eq!(
            signer.sign(1_700_000_000, b"{\"hook\":\"publish\"}"),
            "t=1700000000,v1=9fd80bd78cce79c8da564bfd31331d57016c7f521b932e1bc23b809d93e16c7c"
        );
    }
}
