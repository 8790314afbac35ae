//! The answer to a callout. Anything that is not exactly an answer counts as a failure, and the client is refused.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use fanwire_core::identity::{Grants, Holder, Identity};
use fanwire_protocol::{Pattern, Payload};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

/// The maximum length of a user id, in bytes, as in a token.
const USER_BYTES_MAX: usize = 255;

/// The maximum length of the application's message to the client, in characters.
const MESSAGE_LETTERS_MAX: usize = 500;

/// The maximum length of a user's info, in bytes, as in a token.
const INFO_BYTES_MAX: usize = 4096;

/// An answer as it is in JSON. Unknown fields are ignored.
#[derive(Debug, Deserialize)]
pub(super) struct Answer {
    /// Whether the application allows the request.
    pub(super) allow: bool,
    message: Option<String>,
    #[serde(default, deserialize_with = "present")]
    data: Option<Box<RawValue>>,
    data_base64: Option<String>,
    user: Option<String>,
    info: Option<Box<RawValue>>,
    grants: Option<GrantsAnswer>,
}

#[derive(Debug, Deserialize)]
struct GrantsAnswer {
    #[serde(default)]
    publish: Vec<String>,
    #[serde(default)]
    subscribe: Vec<String>,
}

/// Reads a field that is present. `null` is a value like any other.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Box<RawValue>>, D::Error> {
    Box::<RawValue>::deserialize(deserializer).map(Some)
}

impl Answer {
    /// Reads an answer.
    ///
    /// # Errors
    /// The reason why it is not an answer, without its content.
    pub(super) fn parse(body: &[u8]) -> Result<Self, String> {
        serde_json::from_slice(body).map_err(|error| format!("the answer is not valid: {error}"))
    }

    /// Returns the message for a client whose request is refused.
    pub(super) fn sentence(&self) -> String {
        match self.message.as_deref().map(str::trim) {
            Some(text) if !text.is_empty() => text.chars().take(MESSAGE_LETTERS_MAX).collect(),
            _ => "the application does not allow this".to_owned(),
        }
    }

    /// Returns the payload in the answer, if there is one, of at most `bytes_max`.
    ///
    /// # Errors
    /// The reason why it is not a payload.
    pub(super) fn payload(&self, bytes_max: usize) -> Result<Option<Payload>, String> {
        let payload = match (&self.data, &self.data_base64) {
            (None, None) => return Ok(None),
            (Some(_), Some(_)) => return Err("it has both 'data' and 'data_base64'".to_owned()),
            (Some(json), None) => {
                Payload::from_json(json.get()).map_err(|error| format!("'data': {error}"))?
            }
            (None, Some(text)) => {
                Payload::binary(STANDARD.decode(text).map_err(|error| format!("'data_base64': {error}"))?)
            }
        };
        if payload.len() > bytes_max {
            return Err(format!("its data has {} bytes; the maximum is {bytes_max}", payload.len()));
        }
        Ok(Some(payload))
    }

    /// Returns `identity` with the user, the info and the grants of the answer.
    ///
    /// # Errors
    /// The field that is not valid.
    pub(super) fn identity(self, identity: Identity) -> Result<Identity, String> {
        if self.user.is_none() && self.info.is_none() && self.grants.is_none() {
            return Ok(identity);
        }
        let mut holder = match identity {
            Identity::Anonymous => Holder::default(),
            Identity::Holder(holder) => Arc::unwrap_or_clone(holder),
        };
        if let Some(user) = self.user {
            if user.is_empty() || user.len() > USER_BYTES_MAX {
                return Err(format!("'user' must have 1 to {USER_BYTES_MAX} bytes"));
            }
            holder.user = Some(user.into());
        }
        if let Some(info) = self.info {
            if info.get().len() > INFO_BYTES_MAX {
                return Err(format!("'info' must have at most {INFO_BYTES_MAX} bytes"));
            }
            holder.info = Some(Payload::from_json(info.get()).map_err(|error| format!("'info': {error}"))?);
        }
        if let Some(grants) = self.grants {
            holder.grants =
                Grants { publish: patterns(&grants.publish)?, subscribe: patterns(&grants.subscribe)? };
        }
        Ok(Identity::holder(holder))
    }
}

fn patterns(texts: &[String]) -> Result<Vec<Pattern>, String> {
    let read = |text: &String| {
        Pattern::new(text).map_err(|error| format!("'{}' in 'grants': {error}", text.escape_debug()))
    };
    texts.iter().map(read).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_exact_answer_allows() {
        assert!(Answer::parse(b"{\"allow\": true, \"unknown\": 1}").unwrap().allow);
        assert!(!Answer::parse(b"{\"allow\": false}").unwrap().allow);
        for body in [
            &b""[..],
            b"<html>",
            b"true",
            b"{}",
            b"{\"allow\":1}",
            b"{\"allow\":\"true\"}",
            b"{\"allow\":null}",
            b"{\"allow\":false,\"allow\":true}",
            b"{\"allow\":true,\"user\":7}",
            b"{\"allow\":true,\"grants\":[\"a\"]}",
            b"{\"allow\":true,\"grants\":{\"publish\":\"a\"}}",
            b"{\"allow\":true} {}",
            b"{\"allow\":true",
            b"\xff",
        ] {
            assert!(Answer::parse(body).is_err(), "{:?}", String::from_utf8_lossy(body));
        }
    }

    #[test]
    fn bad_data_is_refused() {
        let payload = |body: &[u8]| Answer::parse(body).unwrap().payload(8);
        assert_eq!(payload(b"{\"allow\":true}"), Ok(None));
        assert_eq!(payload(b"{\"allow\":true,\"data\":\"hi\"}"), Ok(Some(Payload::text("hi"))));
        assert_eq!(payload(b"{\"allow\":true,\"data\":null}"), Ok(Some(Payload::from_json("null").unwrap())));
        assert_eq!(
            payload(b"{\"allow\":true,\"data_base64\":\"/w==\"}"),
            Ok(Some(Payload::binary(&b"\xff"[..])))
        );
        assert!(payload(b"{\"allow\":true,\"data_base64\":\"?\"}").is_err());
        assert!(payload(b"{\"allow\":true,\"data\":1,\"data_base64\":\"/w==\"}").is_err());
        assert!(payload(b"{\"allow\":true,\"data\":\"123456789\"}").is_err());
    }

    #[test]
    fn answer_may_set_the_identity() {
        let identity = |body: &[u8]| Answer::parse(body).unwrap().identity(Identity::Anonymous);
        assert_eq!(identity(b"{\"allow\":true}"), Ok(Identity::Anonymous));
        assert_eq!(identity(b"{\"allow\":true,\"user\":\"ann\"}"), Ok(Identity::user_named("ann")));
        let granted = identity(b"{\"allow\":true,\"grants\":{\"publish\":[\"a.>\"]}}").unwrap();
        assert_eq!(granted.grants().map(|grants| grants.publish.len()), Some(1));
        assert!(identity(b"{\"allow\":true,\"user\":\"\"}").is_err());
        assert!(identity(b"{\"allow\":true,\"grants\":{\"publish\":[\"a..b\"]}}").is_err());
        let info = format!("{{\"allow\":true,\"info\":\"{}\"}}", "x".repeat(INFO_BYTES_MAX));
        assert!(identity(info.as_bytes()).is_err());
    }
}
