//! Tokens that say exactly what they are told to, good or bad, and the configuration of a broker that looks at them.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

/// The secret of every broker in these tests that looks at tokens.
pub const SECRET: &str = "a secret of these tests, long enough";

/// A configuration with that secret.
pub const AUTH: &str = "[auth]\nsecret = 'a secret of these tests, long enough'\n";

/// The time, in seconds since 1970.
pub fn unix_seconds() -> u64 {
    std::time::SystemTime::UNIX_EPOCH.elapsed().map_or(0, |elapsed| elapsed.as_secs())
}

/// A token with exactly this header and these claims, signed with `secret` by HS256 whatever the header says.
pub fn signed_with(secret: &str, header: &Value, claims: &Value) -> String {
    let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let message = format!("{}.{}", encode(header), encode(claims));
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, secret.as_bytes());
    let signature = ring::hmac::sign(&key, message.as_bytes());
    format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))
}

/// A token with exactly these claims, well signed.
pub fn token_of(claims: &Value) -> String {
    signed_with(SECRET, &json!({"alg": "HS256", "typ": "JWT"}), claims)
}

/// A good token of `user` for an hour, with these grants.
pub fn token_for(user: &str, publish: &[&str], subscribe: &[&str]) -> String {
    let grants = json!({"publish": publish, "subscribe": subscribe});
    token_of(&json!({"sub": user, "exp": unix_seconds() + 3600, "fanwire": grants}))
}
