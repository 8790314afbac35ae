//! The WebSocket handshake (RFC 6455 §4.2).

use base64::Engine;
use http::{HeaderValue, Method, Request, Response, StatusCode, Version, header};
use tungstenite::handshake::derive_accept_key;

use super::super::body::ResponseBody;
use super::super::request::wants_websocket;
use crate::problem::{Problem, ProblemCode};

/// Checks that a request is a handshake and returns the value of the answer's `Sec-WebSocket-Accept`.
///
/// # Errors
/// Says what is missing.
pub(super) fn check<B>(request: &Request<B>) -> Result<String, Problem> {
    let headers = request.headers();
    if request.method() != Method::GET {
        return Err(Problem::new(
            StatusCode::METHOD_NOT_ALLOWED,
            ProblemCode::MethodNotAllowed,
            "a WebSocket handshake is a GET request",
        )
        .with_header(header::ALLOW, "GET"));
    }
    let has_upgrade = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|option| option.trim().eq_ignore_ascii_case("upgrade"));
    if !wants_websocket(headers) || !has_upgrade || request.version() < Version::HTTP_11 {
        let detail = "this URL speaks WebSocket only: connect with a WebSocket client, and let proxies in between \
                      pass the headers 'Upgrade: websocket' and 'Connection: Upgrade' on";
        return Err(upgrade_required(detail));
    }
    let version = headers.get(header::SEC_WEBSOCKET_VERSION).map(HeaderValue::as_bytes);
    if version != Some(b"13") {
        return Err(upgrade_required("this broker speaks version 13 of WebSocket (RFC 6455)"));
    }
    let key = headers.get(header::SEC_WEBSOCKET_KEY).map_or(&b""[..], HeaderValue::as_bytes);
    let has_one_key = headers.get_all(header::SEC_WEBSOCKET_KEY).iter().count() == 1;
    let decoded = base64::engine::general_purpose::STANDARD.decode(key);
    if has_one_key && decoded.is_ok_and(|nonce| nonce.len() == 16) {
        Ok(derive_accept_key(key))
    } else {
        Err(Problem::bad_request(
            "there must be one Sec-WebSocket-Key, of 16 bytes in base64 (RFC 6455 §4.1)",
        ))
    }
}

fn upgrade_required(detail: &str) -> Problem {
    Problem::new(StatusCode::UPGRADE_REQUIRED, fanwire_protocol::ErrorCode::BadFrame, detail)
        .with_header(header::SEC_WEBSOCKET_VERSION, "13")
        .with_header(header::UPGRADE, "websocket")
}

/// The answer that switches protocols.
pub(super) fn answer(accept: String, subprotocol: Option<&'static str>) -> Response<ResponseBody> {
    let mut response = Response::new(ResponseBody::empty());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    // Base64 text is always a valid header value.
    if let Ok(value) = HeaderValue::from_str(&accept) {
        headers.insert(header::SEC_WEBSOCKET_ACCEPT, value);
    }
    if let Some(name) = subprotocol {
        headers.insert(header::SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(name));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of RFC 6455 §1.3, with one header changed.
    fn handshake(name: &'static str, value: &'static str) -> Request<()> {
        let mut request = Request::get("/ws").body(()).unwrap();
        for (name, value) in [
            ("upgrade", "websocket"),
            ("connection", "keep-alive, Upgrade"),
            ("sec-websocket-version", "13"),
            ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
            (name, value),
        ] {
            request.headers_mut().insert(name, HeaderValue::from_static(value));
        }
        request
    }

    #[test]
    fn the_example_of_the_rfc_is_accepted() {
        assert_eq!(check(&handshake("host", "x")).unwrap(), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }

    #[test]
    fn what_is_no_handshake_is_refused() {
        for (name, value) in [
            ("upgrade", "h2c"),
            ("connection", "close"),
            ("sec-websocket-version", "12"),
            ("sec-websocket-key", "c2hvcnQ="),
            ("sec-websocket-key", "not base64"),
        ] {
            assert!(check(&handshake(name, value)).is_err(), "{name}: {value}");
        }
    }
}
