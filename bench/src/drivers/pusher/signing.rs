//! Requests of the Pusher HTTP API, signed
//! (<https://pusher.com/docs/channels/library_auth_reference/rest-api/#authentication>).
//!
//! Everything in a request has a fixed length, so that it is laid out once, and signing fills in what changes.

use std::ops::Range;
use std::time::{SystemTime, UNIX_EPOCH};

use md5::{Digest, Md5};
use ring::hmac;

use super::PusherApp;

/// Digits of a moment in seconds, until the year 2286.
const SECONDS_DIGITS: usize = 10;
/// Digits of an MD5 digest.
const MD5_DIGITS: usize = 32;
/// Digits of a signature.
const SIGNATURE_DIGITS: usize = 64;

/// Signs requests of one layout.
#[derive(Debug)]
pub(super) struct Signer {
    key: hmac::Key,
    /// The signed text before the query: the method and the path, a line each.
    signed_first: String,
    /// The query up to the signature, which is signed as it stands.
    query: Range<usize>,
    seconds_at: usize,
    md5_at: usize,
    signature_at: usize,
    body_at: usize,
}

impl Signer {
    /// The request that publishes `body`, still to be signed, and who signs it, whatever then is in the body.
    pub(super) fn prepare(app: &PusherApp, body: &str) -> (Vec<u8>, Self) {
        let blank = |digits: usize| "0".repeat(digits);
        let path = format!("/apps/{}/events", app.id);
        let mut request = format!("POST {path}?");
        let query_at = request.len();
        request.push_str(&format!("auth_key={}&auth_timestamp=", app.key));
        let seconds_at = request.len();
        request.push_str(&format!("{}&auth_version=1.0&body_md5=", blank(SECONDS_DIGITS)));
        let md5_at = request.len();
        request.push_str(&blank(MD5_DIGITS));
        let query = query_at..request.len();
        request.push_str("&auth_signature=");
        let signature_at = request.len();
        // Servers on this machine are asked, so the name is always the same.
        request.push_str(&format!(
            "{} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            blank(SIGNATURE_DIGITS),
            body.len()
        ));
        let body_at = request.len();
        request.push_str(body);
        let signer = Self {
            key: hmac::Key::new(hmac::HMAC_SHA256, app.secret.as_bytes()),
            signed_first: format!("POST\n{path}\n"),
            query,
            seconds_at,
            md5_at,
            signature_at,
            body_at,
        };
        (request.into_bytes(), signer)
    }

    /// Signs `request` as one of the moment `seconds` of Unix time.
    pub(super) fn sign(&self, request: &mut [u8], seconds: u64) {
        let digest = Md5::digest(&request[self.body_at..]);
        write_hex(&mut request[self.md5_at..][..MD5_DIGITS], &digest);
        write_decimal(&mut request[self.seconds_at..][..SECONDS_DIGITS], seconds);
        let mut context = hmac::Context::with_key(&self.key);
        context.update(self.signed_first.as_bytes());
        context.update(&request[self.query.clone()]);
        write_hex(&mut request[self.signature_at..][..SIGNATURE_DIGITS], context.sign().as_ref());
    }
}

/// Now. A clock before 1970 is taken for 1970, which the server refuses in words.
pub(super) fn unix_seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

fn write_hex(out: &mut [u8], bytes: &[u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for (pair, byte) in out.chunks_exact_mut(2).zip(bytes) {
        pair[0] = DIGITS[usize::from(byte >> 4)];
        pair[1] = DIGITS[usize::from(byte & 15)];
    }
}

/// Writes `number` from the lowest digit backwards, with zeros before it.
fn write_decimal(out: &mut [u8], mut number: u64) {
    for byte in out.iter_mut().rev() {
        *byte = b'0' + (number % 10) as u8;
        number /= 10;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_the_documentation_is_signed_as_documented() {
        let app: PusherApp = "3:278d425bdf160c739803:7ad3773142a6692b25b8".parse().unwrap();
        let body = r#"{"name":"foo","channels":["project-3"],"data":"{\"some\":\"data\"}"}"#;
        let (mut request, signer) = Signer::prepare(&app, body);
        signer.sign(&mut request, 1_353_088_179);
        let request = String::from_utf8(request).unwrap();
        let expected = "POST /apps/3/events?auth_key=278d425bdf160c739803&auth_timestamp=1353088179&auth_version=1.0\
             &body_md5=ec365a775a4cd0599faeb73354201b6f\
             &auth_signature=da454824c97ba181a32ccc17a72625ba02771f50b50e1e7430e47a1f3f457e6c HTTP/1.1\r\n";
        assert!(request.starts_with(expected), "{request}");
        assert!(request.ends_with(&format!("\r\nContent-Length: {}\r\n\r\n{body}", body.len())), "{request}");
    }
}
