//! Key sets: public keys as identity providers publish them (JSON Web Key Set, RFC 7517 §5).

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;

use super::{Algorithm, VerifyingKey};

/// The maximum number of keys of one set.
const KEYS_MAX: usize = 100;

/// The length of a coordinate of P-256, and of an Ed25519 key, in bytes.
const COORDINATE_BYTES: usize = 32;

/// An error for a text that is not a usable key set.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeySetError {
    /// Not JSON, or JSON of another form.
    #[error("it is not a key set, which is a JSON object with a list 'keys'{}", if *.0 { "; it looks like a web page" } else { "" })]
    Malformed(bool),
    /// More than `KEYS_MAX` keys.
    #[error("it has more than {KEYS_MAX} keys")]
    TooMany,
    /// The set holds no key for an accepted algorithm.
    #[error("none of its {0} keys is for signatures by an algorithm that is accepted here")]
    NoneUsable(usize),
}

#[derive(Deserialize)]
struct Document {
    keys: Vec<serde_json::Value>,
}

/// One key. A member that is missing or has another type makes the key unusable, not the set.
#[derive(Deserialize)]
struct Key {
    kty: String,
    kid: Option<String>,
    alg: Option<String>,
    r#use: Option<String>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
}

/// Reads the keys of a key set for `algorithms`, or for all algorithms of public keys if the list is empty. Keys of other kinds are
/// left out, above all shared secrets (`oct`), which must not be published.
///
/// # Errors
/// If the text is not a key set, or no key in it can be used.
pub fn parse_key_set(json: &[u8], algorithms: &[Algorithm]) -> Result<Vec<VerifyingKey>, KeySetError> {
    let document: Document = serde_json::from_slice(json)
        .map_err(|_| KeySetError::Malformed(json.trim_ascii_start().starts_with(b"<")))?;
    if document.keys.len() > KEYS_MAX {
        return Err(KeySetError::TooMany);
    }
    let count = document.keys.len();
    let keys: Vec<VerifyingKey> = document
        .keys
        .into_iter()
        .filter_map(|value| verifying_key(serde_json::from_value(value).ok()?))
        .map(|key| if algorithms.is_empty() { key } else { key.only_for(algorithms) })
        .filter(VerifyingKey::is_for_any)
        .collect();
    if keys.is_empty() { Err(KeySetError::NoneUsable(count)) } else { Ok(keys) }
}

fn verifying_key(key: Key) -> Option<VerifyingKey> {
    if key.r#use.is_some_and(|purpose| purpose != "sig") {
        return None;
    }
    let (made, algorithm) = match (key.kty.as_str(), key.crv.as_deref()) {
        ("RSA", None) => (VerifyingKey::rsa(unsigned(&key.n?)?, unsigned(&key.e?)?), Algorithm::Rs256),
        ("EC", Some("P-256")) => {
            // Uncompressed, as SEC 1 §2.3.3 writes a point.
            let point = [&[4], &*coordinate(&key.x?)?, &*coordinate(&key.y?)?].concat();
            (VerifyingKey::p256(point), Algorithm::Es256)
        }
        ("OKP", Some("Ed25519")) => (VerifyingKey::ed25519(coordinate(&key.x?)?), Algorithm::EdDsa),
        _ => return None,
    };
    if key.alg.is_some_and(|named| named != algorithm.as_str()) {
        return None;
    }
    Some(match key.kid {
        Some(id) => made.named(id),
        None => made,
    })
}

/// Reads a big-endian number and drops leading zeros.
fn unsigned(text: &str) -> Option<Vec<u8>> {
    let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
    let start = bytes.iter().position(|byte| *byte != 0)?;
    Some(bytes[start..].to_vec())
}

fn coordinate(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).ok().filter(|bytes| bytes.len() == COORDINATE_BYTES)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The keys of RFC 7517 appendix A.1 and RFC 8037 appendix A.2, and some that cannot be used.
    const SET: &str = r#"{"keys":[
        {"kty":"EC","crv":"P-256","x":"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4",
         "y":"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM","use":"enc","kid":"1"},
        {"kty":"RSA","n":"0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw",
         "e":"AQAB","alg":"RS256","kid":"2011-04-29"},
        {"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo","kid":"ed"},
        {"kty":"EC","crv":"P-256","x":"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4",
         "y":"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM","kid":"ec"},
        {"kty":"oct","k":"AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow","kid":"s"},
        {"kty":"EC","crv":"P-384","x":"AAAA","y":"AAAA","kid":"384"},
        {"kty":"OKP","crv":"Ed25519","x":"AAAA","kid":"short"},
        {"kty":"RSA","n":"!","e":"AQAB","kid":"garbage"},
        {"kty":"RSA","e":"AQAB","kid":"half"},
        {"kid":"nothing"}, 7, null
    ]}"#;

    fn ids(keys: &[VerifyingKey]) -> Vec<&str> {
        keys.iter().filter_map(VerifyingKey::id).collect()
    }

    #[test]
    fn usable_keys_are_taken_and_the_others_left_out() {
        assert_eq!(ids(&parse_key_set(SET.as_bytes(), &[]).unwrap()), ["2011-04-29", "ed", "ec"]);
        assert_eq!(ids(&parse_key_set(SET.as_bytes(), &[Algorithm::EdDsa]).unwrap()), ["ed"]);
        let secrets = [Algorithm::Hs256, Algorithm::Hs384, Algorithm::Hs512];
        assert_eq!(parse_key_set(SET.as_bytes(), &secrets).unwrap_err(), KeySetError::NoneUsable(12));
    }

    #[test]
    fn what_is_no_key_set_is_refused() {
        let check = |text: &str, expected| {
            assert_eq!(parse_key_set(text.as_bytes(), &[]).unwrap_err(), expected, "{text}");
        };
        check("", KeySetError::Malformed(false));
        check("[]", KeySetError::Malformed(false));
        check("{}", KeySetError::Malformed(false));
        check("{\"keys\":{}}", KeySetError::Malformed(false));
        check(" <!DOCTYPE html><html></html>", KeySetError::Malformed(true));
        check("{\"keys\":[]}", KeySetError::NoneUsable(0));
        check(&format!("{{\"keys\":[{}]}}", vec!["{}"; 101].join(",")), KeySetError::TooMany);
    }
}
