//! Browser origins (RFC 6454): which web pages may use the broker.
//!
//! Browsers let any page open a WebSocket or send a form to any host; only the `Origin` header tells whose page it was.

use std::sync::{PoisonError, RwLock};

use http::{HeaderMap, HeaderValue, header};

/// Which origins are let in.
#[derive(Debug, Clone)]
struct Origins {
    allowed: Vec<String>,
}

/// The origins that all workers ask, and that may change while they do.
#[derive(Debug)]
pub(crate) struct SharedOrigins(RwLock<Origins>);

impl SharedOrigins {
    /// Lets in these origins, as [`Origins::new`] does.
    pub(crate) fn new(allowed: Vec<String>) -> Self {
        Self(RwLock::new(Origins::new(allowed)))
    }

    /// Lets in these from now on.
    pub(crate) fn change(&self, allowed: Vec<String>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Origins::new(allowed);
    }

    /// Judges the origin of a request.
    pub(crate) fn judge(&self, headers: &HeaderMap) -> Verdict {
        self.0.read().unwrap_or_else(PoisonError::into_inner).judge(headers)
    }
}

/// What is thought of the origin of a request.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// There is none: no browser, or a page of the broker's own.
    None,
    /// Let in.
    Allowed(HeaderValue),
    /// Not let in; the origin as it was given, shortened to what is safe to repeat.
    Refused(String),
}

/// How much of a refused origin is repeated to the client and the log, in bytes.
const REPEATED_BYTES_MAX: usize = 200;

impl Origins {
    /// Lets in these origins besides the broker's own and those on a loopback address. `*` lets in all.
    fn new(allowed: Vec<String>) -> Self {
        Self { allowed }
    }

    /// Judges the origin of a request.
    fn judge(&self, headers: &HeaderMap) -> Verdict {
        let Some(origin) = headers.get(header::ORIGIN) else { return Verdict::None };
        let has_one = headers.get_all(header::ORIGIN).iter().count() == 1;
        match origin.to_str() {
            Ok(text) if has_one && self.is_allowed(text, headers) => Verdict::Allowed(origin.clone()),
            _ => {
                let text = String::from_utf8_lossy(origin.as_bytes());
                Verdict::Refused(text.chars().take(REPEATED_BYTES_MAX).collect())
            }
        }
    }

    fn is_allowed(&self, origin: &str, headers: &HeaderMap) -> bool {
        let is_listed =
            self.allowed.iter().any(|allowed| allowed == "*" || allowed.eq_ignore_ascii_case(origin));
        let Some((_, authority)) = origin.split_once("://") else { return is_listed };
        let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
        is_listed || is_loopback(authority) || host.is_some_and(|host| host.eq_ignore_ascii_case(authority))
    }
}

/// Whether `authority`, a host and perhaps a port, can only be this machine itself. Anything else that an authority may hold
/// (RFC 3986 §3.2) does not occur in an origin, and is taken for a trick.
fn is_loopback(authority: &str) -> bool {
    let (host, port) = match authority.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, rest)) => (host, rest),
        None => authority.split_at(authority.find(':').unwrap_or(authority.len())),
    };
    let has_strange_port = port.strip_prefix(':').is_none_or(|digits| digits.parse::<u16>().is_err());
    if !port.is_empty() && has_strange_port {
        return false;
    }
    // RFC 6761 §6.3: names under `localhost` are loopback too, and no look-alike such as `localhost.example` is.
    let name = host.to_ascii_lowercase();
    let is_name =
        |name: &str| name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.'));
    name == "localhost"
        || (name.ends_with(".localhost") && is_name(&name))
        || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(origin: &str, host: &str, expected: bool) {
        let origins = Origins::new(vec!["https://app.example".to_owned()]);
        let mut headers = HeaderMap::new();
        headers.insert(header::ORIGIN, HeaderValue::from_str(origin).unwrap());
        headers.insert(header::HOST, HeaderValue::from_str(host).unwrap());
        let allowed = matches!(origins.judge(&headers), Verdict::Allowed(_));
        assert_eq!(allowed, expected, "{origin} at {host}");
    }

    #[test]
    fn listed_own_and_loopback_origins_are_let_in_and_look_alikes_are_not() {
        check("https://app.example", "broker.example", true);
        check("https://broker.example:8443", "broker.example:8443", true);
        check("http://localhost:3000", "broker.example", true);
        check("http://127.0.0.1", "broker.example", true);
        check("http://[::1]:80", "broker.example", true);
        check("https://broker.example", "broker.example:8443", false);
        check("https://app.example.evil.com", "broker.example", false);
        check("https://localhost.evil.com", "broker.example", false);
        check("https://127.0.0.1.evil.com", "broker.example", false);
        check("https://evil-app.example", "broker.example", false);
        check("http://localhost:80@evil.example", "broker.example", false);
        check("http://[::1].evil.example", "broker.example", false);
        check("http://evil.example/.localhost", "broker.example", false);
        check("null", "broker.example", false);
        check("", "broker.example", false);
    }

    #[test]
    fn no_origin_is_no_browser_and_two_are_a_trick() {
        let origins = Origins::new(Vec::new());
        let mut headers = HeaderMap::new();
        assert_eq!(origins.judge(&headers), Verdict::None);
        headers.append(header::ORIGIN, HeaderValue::from_static("http://localhost"));
        headers.append(header::ORIGIN, HeaderValue::from_static("https://evil.example"));
        assert!(matches!(origins.judge(&headers), Verdict::Refused(_)));
    }
}
