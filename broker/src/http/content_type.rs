//! The kind of a request's body by its headers: text, binary, JSON, or one that the broker cannot read.

use bytes::Bytes;
use fanwire_protocol::Payload;
use http::{HeaderMap, HeaderValue, header};

use crate::problem::{Problem, quoted};

/// The kind of a body, by its media type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum BodyKind {
    /// `application/json` or a type with the suffix `+json` (RFC 6839 §3.1).
    Json,
    /// A type that matches `text/*`.
    Text,
    /// `application/x-www-form-urlencoded`, which `curl -d` and other clients send when the caller names no type, or no type at
    /// all: text if the body is UTF-8, else binary.
    Unspecified,
    /// Any other type of content.
    Binary,
}

impl BodyKind {
    /// Reads the kind of a body from the headers of its request. The body itself is not needed for it.
    ///
    /// # Errors
    /// 415 if the body has a content coding, or a charset other than UTF-8: the broker would take its bytes for something else.
    /// 400 if there are several types.
    pub(super) fn of(headers: &HeaderMap) -> Result<Self, Problem> {
        check_encoding(headers)?;
        let mut types = headers.get_all(header::CONTENT_TYPE).iter();
        let content_type = types.next().map_or(Ok(""), HeaderValue::to_str);
        let content_type = content_type.map_err(|_| Problem::bad_request("Content-Type: not readable"))?;
        if types.next().is_some() {
            return Err(Problem::bad_request("Content-Type: expected once"));
        }
        let mut parts = content_type.split(';');
        let media_type = parts.next().unwrap_or("").trim().to_ascii_lowercase();
        for parameter in parts {
            check_charset(parameter)?;
        }
        Ok(match media_type.as_str() {
            "application/json" => Self::Json,
            "" | "application/x-www-form-urlencoded" => Self::Unspecified,
            _ if media_type.ends_with("+json") => Self::Json,
            _ if media_type.starts_with("text/") => Self::Text,
            _ => Self::Binary,
        })
    }

    /// Makes a payload of a body of this kind.
    ///
    /// # Errors
    /// If the body is not what its type says.
    pub(super) fn payload(&self, body: &Bytes) -> Result<Payload, Problem> {
        let text = |body| {
            std::str::from_utf8(body).map_err(|_| {
                Problem::bad_request(
                    "the body is not UTF-8, which text and JSON must be: send other bytes as application/octet-stream",
                )
            })
        };
        match self {
            Self::Json => {
                Payload::from_json(text(body)?).map_err(|error| Problem::bad_request(error.to_string()))
            }
            Self::Text => Ok(Payload::text(text(body)?)),
            Self::Unspecified => match std::str::from_utf8(body) {
                Ok(text) => Ok(Payload::text(text)),
                Err(_) => Ok(Payload::binary(&**body)),
            },
            Self::Binary => Ok(Payload::binary(&**body)),
        }
    }

    /// Checks that a body that must be JSON may be. A body without a type is read as JSON, too.
    ///
    /// # Errors
    /// 415 if the headers say that the body is something else.
    pub(super) fn check_json(&self) -> Result<(), Problem> {
        match self {
            Self::Json | Self::Text | Self::Unspecified => Ok(()),
            Self::Binary => Err(Problem::unsupported(
                "Content-Type: this URL takes JSON only: send the body as application/json",
            )),
        }
    }
}

/// Returns whether the body is there at all: a request without a type and without a body says nothing.
pub(super) fn is_absent(headers: &HeaderMap, body: &Bytes) -> bool {
    body.is_empty() && !headers.contains_key(header::CONTENT_TYPE)
}

fn check_encoding(headers: &HeaderMap) -> Result<(), Problem> {
    for value in headers.get_all(header::CONTENT_ENCODING) {
        let text = String::from_utf8_lossy(value.as_bytes());
        let foreign = text
            .split(',')
            .map(str::trim)
            .find(|coding| !coding.is_empty() && !coding.eq_ignore_ascii_case("identity"));
        if let Some(coding) = foreign {
            return Err(Problem::unsupported(format!(
                "Content-Encoding: the broker does not unpack '{}': send the body as it is",
                quoted(coding)
            ))
            .with_header(header::ACCEPT_ENCODING, "identity"));
        }
    }
    Ok(())
}

fn check_charset(parameter: &str) -> Result<(), Problem> {
    let Some((name, value)) = parameter.split_once('=') else { return Ok(()) };
    let value = value.trim().trim_matches('"');
    let is_readable = value.eq_ignore_ascii_case("utf-8") || value.eq_ignore_ascii_case("utf8");
    if !name.trim().eq_ignore_ascii_case("charset") || is_readable {
        return Ok(());
    }
    Err(Problem::unsupported(format!(
        "Content-Type: the broker does not read the charset '{}': send the body as UTF-8",
        quoted(value)
    )))
}

#[cfg(test)]
mod tests {
    use fanwire_protocol::PayloadView;

    use super::*;

    fn headers(content_type: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_str(content_type).unwrap());
        headers
    }

    fn payload(content_type: &str, body: &'static [u8]) -> Result<Payload, Problem> {
        BodyKind::of(&headers(content_type))?.payload(&Bytes::from_static(body))
    }

    #[test]
    fn the_content_type_says_what_the_body_is() {
        assert_eq!(payload("text/plain", b"hi").unwrap().view(), PayloadView::Text("hi"));
        assert_eq!(payload("Text/HTML; charset=utf-8", b"").unwrap().view(), PayloadView::Text(""));
        assert_eq!(payload("application/json", b" {} ").unwrap().to_bare().trim_ascii(), b"{}");
        assert_eq!(
            payload("application/json; charset=\"UTF-8\"", b"\"hi\"").unwrap().view(),
            PayloadView::Text("hi")
        );
        assert_eq!(payload("application/vnd.api+json", b"[1]").unwrap().view(), PayloadView::Json("[1]"));
        assert_eq!(
            payload("application/octet-stream", b"\xff").unwrap().view(),
            PayloadView::Binary(b"\xff")
        );
        assert_eq!(payload("application/octet-stream", b"hi").unwrap().view(), PayloadView::Binary(b"hi"));
    }

    #[test]
    fn a_body_without_a_type_of_its_own_is_text_where_it_can_be() {
        for content_type in
            ["application/x-www-form-urlencoded", "Application/X-WWW-Form-URLEncoded; charset=utf-8", ""]
        {
            assert_eq!(
                payload(content_type, b"{\"text\":\"hi\"}").unwrap().view(),
                PayloadView::Text("{\"text\":\"hi\"}")
            );
            assert_eq!(payload(content_type, b"\xff\xfe").unwrap().view(), PayloadView::Binary(b"\xff\xfe"));
        }
        assert_eq!(BodyKind::of(&HeaderMap::new()).unwrap(), BodyKind::Unspecified);
    }

    #[test]
    fn a_body_that_is_not_what_it_says_is_refused() {
        for (content_type, body) in [
            ("text/plain", &b"\xff"[..]),
            ("application/json", b"\xff"),
            ("application/json", b""),
            ("application/json", b"{"),
            ("application/ld+json", b"{"),
        ] {
            assert!(payload(content_type, body).is_err(), "{content_type}: {body:?}");
        }
    }

    #[test]
    fn what_the_broker_cannot_read_is_refused_by_name() {
        for content_type in [
            "text/plain; charset=iso-8859-1",
            "application/json;charset=utf-16",
            "x/y; a=b; CharSet = latin1",
        ] {
            let problem = BodyKind::of(&headers(content_type)).unwrap_err();
            assert_eq!(problem.code().as_str(), "unsupported_media_type", "{content_type}");
        }
        for (coding, is_read) in
            [("identity", true), ("", true), ("gzip", false), ("identity, br", false), ("x", false)]
        {
            let mut headers = headers("text/plain");
            headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static(coding));
            assert_eq!(BodyKind::of(&headers).is_ok(), is_read, "{coding}");
        }
    }
}
