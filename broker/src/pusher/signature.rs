//! Signatures of the Pusher protocol: HMAC-SHA256 (RFC 2104) in hexadecimal, compared in constant time.
//!
//! This file owns what is signed. Its errors say which text should have been signed, and never the secret or the right signature.

use std::fmt::Write;

use md5::{Digest, Md5};
use ring::hmac;

use super::{PusherApp, SocketId};

/// The greatest distance of the time of a signed request from the broker's, in seconds. Older requests may be repeated by a listener.
const TIMESTAMP_TOLERANCE_S: u64 = 600;

/// The version of the signatures of requests.
const VERSION: &str = "1.0";

/// A signature that does not allow what it was sent for. The text says what should have been signed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct SignatureError(String);

/// A request to the REST API whose signature is not valid.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum RestSignatureError {
    /// A parameter of the signature is missing or occurs twice.
    #[error("the request must be signed: the parameter {0} is missing, or there are several")]
    Parameter(&'static str),
    /// The key is that of no app, or of another one than the path names.
    #[error(
        "auth_key '{0}' is not the key of this app: use the key and secret of the app whose id is in the path"
    )]
    Key(String),
    /// The version is unknown.
    #[error("auth_version must be {VERSION}")]
    Version,
    /// The time is not a number, or too far from the broker's.
    #[error(
        "Timestamp expired: Given timestamp ({given}) not within {TIMESTAMP_TOLERANCE_S} s of server time ({now}): set the clock of \
         the sending machine"
    )]
    Timestamp {
        /// The text of the parameter.
        given: String,
        /// The broker's time, in seconds since 1970.
        now: u64,
    },
    /// The body is not the one whose digest is signed.
    #[error("body_md5 is not the MD5 of the body: '{0}' would be; send the body exactly as it was signed")]
    Body(String),
    /// The signature is of another text.
    #[error("Invalid signature: you should have sent HmacSHA256Hex(\"{0}\", your_secret_key)")]
    Signature(String),
}

impl PusherApp {
    /// Checks that `auth`, `KEY:SIGNATURE`, allows the connection to subscribe to a channel with this `channel_data`.
    ///
    /// # Errors
    /// Says what should have been signed.
    pub(crate) fn check_subscription(
        &self,
        auth: &str,
        socket_id: &SocketId,
        channel: &str,
        channel_data: Option<&str>,
    ) -> Result<(), SignatureError> {
        let data = channel_data.map_or(String::new(), |data| format!(":{data}"));
        self.check_signed(auth, &format!("{socket_id}:{channel}{data}"))
    }

    /// Checks that `auth`, `KEY:SIGNATURE`, says that the connection is that of the user in `user_data`.
    ///
    /// # Errors
    /// Says what should have been signed.
    pub(crate) fn check_sign_in(
        &self,
        auth: &str,
        socket_id: &SocketId,
        user_data: &str,
    ) -> Result<(), SignatureError> {
        self.check_signed(auth, &format!("{socket_id}::user::{user_data}"))
    }

    fn check_signed(&self, auth: &str, text: &str) -> Result<(), SignatureError> {
        let (key, signature) = auth.split_once(':').unwrap_or(("", auth));
        if key != &*self.key {
            return Err(SignatureError(format!(
                "the auth must be 'KEY:SIGNATURE' with the key '{}' of this app, and begins with '{key}': check PUSHER_APP_KEY of \
                 the application",
                self.key
            )));
        }
        if self.verify(text.as_bytes(), signature) {
            return Ok(());
        }
        Err(SignatureError(format!(
            "the signature is not the HMAC-SHA256 of '{text}' with the secret of app '{}', as hexadecimal digits: sign exactly this \
             text, and check PUSHER_APP_SECRET of the application",
            self.id
        )))
    }

    /// Checks the signature of a request to the REST API. `parameters` are those of the query, with their escapes resolved; `now` is
    /// in seconds since 1970.
    ///
    /// # Errors
    /// Says what is wrong with it.
    pub(crate) fn check_request(
        &self,
        method: &str,
        path: &str,
        parameters: &[(String, String)],
        body: &[u8],
        now: u64,
    ) -> Result<(), RestSignatureError> {
        let mut sorted: Vec<(String, &str)> =
            parameters.iter().map(|(name, value)| (name.to_lowercase(), value.as_str())).collect();
        sorted.sort();
        let find = |wanted: &'static str| {
            let mut values = sorted.iter().filter(|(name, _)| name == wanted).map(|(_, value)| *value);
            match (values.next(), values.next()) {
                (Some(value), None) => Ok(value),
                _ => Err(RestSignatureError::Parameter(wanted)),
            }
        };
        let key = find("auth_key")?;
        if key != &*self.key {
            return Err(RestSignatureError::Key(key.chars().take(100).collect()));
        }
        if find("auth_version")? != VERSION {
            return Err(RestSignatureError::Version);
        }
        let given = find("auth_timestamp")?;
        let is_near = given.parse::<u64>().is_ok_and(|time| time.abs_diff(now) <= TIMESTAMP_TOLERANCE_S);
        if !is_near {
            let given = given.chars().take(30).collect();
            return Err(RestSignatureError::Timestamp { given, now });
        }
        let signature = find("auth_signature")?;
        if !body.is_empty() || sorted.iter().any(|(name, _)| name == "body_md5") {
            let digest = body_md5(body);
            if !find("body_md5")?.eq_ignore_ascii_case(&digest) {
                return Err(RestSignatureError::Body(digest));
            }
        }
        let signed: Vec<String> = sorted
            .iter()
            .filter(|(name, _)| name != "auth_signature")
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        let signed = format!("{method}\n{path}\n{}", signed.join("&"));
        if self.verify(signed.as_bytes(), signature) {
            return Ok(());
        }
        Err(RestSignatureError::Signature(signed.replace('\n', "\\n")))
    }

    /// Returns the signature of `text`, for calls of the broker to the application.
    pub(crate) fn sign(&self, text: &[u8]) -> String {
        hex(hmac::sign(&self.secret.load(), text).as_ref())
    }

    /// Returns whether `signature` is that of `text`. The time that this takes says nothing about the right signature.
    fn verify(&self, text: &[u8], signature: &str) -> bool {
        unhex(signature).is_some_and(|signature| hmac::verify(&self.secret.load(), text, &signature).is_ok())
    }
}

/// Returns the MD5 of a body in hexadecimal, which requests to the REST API name.
fn body_md5(body: &[u8]) -> String {
    hex(&Md5::digest(body))
}

fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        write!(text, "{byte:02x}").expect("writing to a string cannot fail");
    }
    text
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    if !text.len().is_multiple_of(2) || !text.is_ascii() {
        return None;
    }
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::PusherAppConfig;
    use crate::secret::Secret;

    /// The app of Pusher's documentation.
    fn app() -> PusherApp {
        let config = PusherAppConfig::new("3", "278d425bdf160c739803");
        PusherApp::new(&config, &Secret::new("7ad3773142a6692b25b8"))
    }

    fn socket_id() -> SocketId {
        "1234.1234".parse().unwrap()
    }

    #[test]
    fn the_vectors_of_the_documentation_are_accepted() {
        let app = app();
        let auth = |signature: &str| format!("278d425bdf160c739803:{signature}");
        let private = auth("58df8b0c36d6982b82c3ecf6b4662e34fe8c25bba48f5369f135bf843651c3a4");
        assert_eq!(app.check_subscription(&private, &socket_id(), "private-foobar", None), Ok(()));
        let presence = auth("31935e7d86dba64c2a90aed31fdc61869f9b22ba9d8863bba239c03ca481bc80");
        let data = r#"{"user_id":10,"user_info":{"name":"Mr. Channels"}}"#;
        assert_eq!(app.check_subscription(&presence, &socket_id(), "presence-foobar", Some(data)), Ok(()));
        let user = r#"{"id":"12345"}"#;
        let signed = auth("4708d583dada6a56435fb8bc611c77c359a31eebde13337c16ab43aa6de336ba");
        assert_eq!(app.check_sign_in(&signed, &socket_id(), user), Ok(()));
    }

    #[test]
    fn a_wrong_signature_is_answered_with_what_should_have_been_signed() {
        let app = app();
        for auth in
            ["", "278d425bdf160c739803:", "278d425bdf160c739803:00", "278d425bdf160c739803:zz", "x:00"]
        {
            let error = app.check_subscription(auth, &socket_id(), "private-foobar", None).unwrap_err();
            let says_what = error.to_string();
            assert!(
                !says_what.contains("58df8b0c") && !says_what.contains("7ad3773142a6692b25b8"),
                "{says_what}"
            );
        }
        let error = app.check_subscription("278d425bdf160c739803:00", &socket_id(), "private-a", None);
        assert!(error.unwrap_err().to_string().contains("'1234.1234:private-a'"));
    }

    /// The worked example of the documentation of the REST API.
    const BODY: &str = r#"{"name":"foo","channels":["project-3"],"data":"{\"some\":\"data\"}"}"#;

    fn parameters(changes: &[(&str, &str)]) -> Vec<(String, String)> {
        let mut all = vec![
            ("auth_key", "278d425bdf160c739803"),
            ("auth_timestamp", "1353088179"),
            ("auth_version", "1.0"),
            ("body_md5", "ec365a775a4cd0599faeb73354201b6f"),
            ("auth_signature", "da454824c97ba181a32ccc17a72625ba02771f50b50e1e7430e47a1f3f457e6c"),
        ];
        for (name, value) in changes {
            all.retain(|(known, _)| known != name);
            if !value.is_empty() {
                all.push((name, value));
            }
        }
        all.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
    }

    fn check(changes: &[(&str, &str)], body: &str, now: u64) -> Result<(), RestSignatureError> {
        app().check_request("POST", "/apps/3/events", &parameters(changes), body.as_bytes(), now)
    }

    #[test]
    fn the_request_of_the_documentation_is_accepted_for_ten_minutes_either_way() {
        for now in [1_353_088_179, 1_353_088_779, 1_353_087_579] {
            assert_eq!(check(&[], BODY, now), Ok(()), "{now}");
        }
        for now in [1_353_088_780, 1_353_087_578, 0] {
            assert!(matches!(check(&[], BODY, now), Err(RestSignatureError::Timestamp { .. })), "{now}");
        }
    }

    #[test]
    fn each_part_of_a_request_is_signed() {
        let now = 1_353_088_179;
        for name in ["auth_key", "auth_timestamp", "auth_version", "auth_signature", "body_md5"] {
            assert_eq!(check(&[(name, "")], BODY, now), Err(RestSignatureError::Parameter(name)));
        }
        assert!(matches!(check(&[("auth_key", "other")], BODY, now), Err(RestSignatureError::Key(_))));
        assert_eq!(check(&[("auth_version", "2.0")], BODY, now), Err(RestSignatureError::Version));
        assert!(matches!(check(&[], "{}", now), Err(RestSignatureError::Body(_))));
        assert!(matches!(check(&[], "", now), Err(RestSignatureError::Body(_))));
        for changes in
            [[("auth_signature", "00")], [("info", "user_count")], [("auth_timestamp", "1353088180")]]
        {
            let Err(RestSignatureError::Signature(signed)) = check(&changes, BODY, now) else {
                panic!("{changes:?}")
            };
            assert!(signed.starts_with("POST\\n/apps/3/events\\nauth_key=278d425bdf160c739803&"), "{signed}");
        }
        let twice =
            [parameters(&[]), vec![("auth_key".to_owned(), "278d425bdf160c739803".to_owned())]].concat();
        let result = app().check_request("POST", "/apps/3/events", &twice, BODY.as_bytes(), now);
        assert_eq!(result, Err(RestSignatureError::Parameter("auth_key")));
    }
}
