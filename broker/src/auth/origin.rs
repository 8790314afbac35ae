//! Browser origins (RFC 6454): which web pages may use the broker.
//!
//! Browsers let any page open a WebSocket or send a form to any host; only the `Origin` header tells whose page it was.

use std::sync::{PoisonError, RwLock};

use http::{HeaderMap, HeaderValue, header};

/// Which origins are let in.
#[derive(Debug, Clone)]
struct Origins {
    allowed: Vec<String>,
    reach: Reach,
}

/// Whom the broker is there for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reach {
    /// Whoever can reach it and shows what it asks for.
    Everybody,
    /// Everything on this machine, without credentials. Then a name in `Host` that is not this machine's own is a trick: a page
    /// from the web whose name was made to point here (DNS rebinding), so that the browser takes the broker for its own.
    ThisMachine,
}

/// The origins that all workers ask, and that may change while they do.
#[derive(Debug)]
pub(crate) struct SharedOrigins(RwLock<Origins>);

impl SharedOrigins {
    /// Lets in these origins, as [`Origins::new`] does.
    pub(crate) fn new(allowed: Vec<String>, reach: Reach) -> Self {
        Self(RwLock::new(Origins::new(allowed, reach)))
    }

    /// Lets in these from now on.
    pub(crate) fn change(&self, allowed: Vec<String>) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).allowed = allowed;
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
    Allowed {
        /// The origin as it was given.
        origin: HeaderValue,
        /// Whether the cookies that came along count. Not those that a page of this machine sends to a broker elsewhere: it
        /// may be anybody's, and the user did not mean it.
        may_use_cookies: bool,
    },
    /// Not let in, whatever the origin: the host as it was given, shortened to what is safe to repeat.
    RefusedHost(String),
    /// Not let in; the origin as it was given, shortened to what is safe to repeat.
    Refused(String),
}

/// How much of a refused origin is repeated to the client and the log, in bytes.
const REPEATED_BYTES_MAX: usize = 200;

impl Origins {
    /// Lets in these origins besides the broker's own and those on a loopback address. `*` lets in all.
    fn new(allowed: Vec<String>, reach: Reach) -> Self {
        Self { allowed, reach }
    }

    /// Judges the origin of a request.
    fn judge(&self, headers: &HeaderMap) -> Verdict {
        if let Some(host) = host(headers)
            && self.reach == Reach::ThisMachine
            && !self.may_be_called(host)
        {
            return Verdict::RefusedHost(host.chars().take(REPEATED_BYTES_MAX).collect());
        }
        let Some(origin) = headers.get(header::ORIGIN) else { return Verdict::None };
        let has_one = headers.get_all(header::ORIGIN).iter().count() == 1;
        match origin.to_str() {
            Ok(text) if has_one && self.is_trusted(text, headers) => {
                Verdict::Allowed { origin: origin.clone(), may_use_cookies: true }
            }
            Ok(text) if has_one && authority(text).is_some_and(is_loopback) => {
                let may_use_cookies = host(headers).is_some_and(is_loopback);
                Verdict::Allowed { origin: origin.clone(), may_use_cookies }
            }
            _ => {
                let text = String::from_utf8_lossy(origin.as_bytes());
                Verdict::Refused(text.chars().take(REPEATED_BYTES_MAX).collect())
            }
        }
    }

    /// Whether a broker of this machine may be called `host`: by an address, by a name without dots, which no name server on the
    /// web answers for, by a loopback name, or by the name of a listed origin.
    fn may_be_called(&self, host: &str) -> bool {
        let name = without_port(host);
        let is_address = name.starts_with('[') || name.parse::<std::net::Ipv4Addr>().is_ok();
        let is_listed = |allowed: &String| {
            let known = authority(allowed).map(without_port);
            allowed == "*" || known.is_some_and(|known| known.eq_ignore_ascii_case(name))
        };
        is_address
            || !name.trim_end_matches('.').contains('.')
            || is_loopback(name)
            || self.allowed.iter().any(is_listed)
    }

    /// Whether the origin is listed or the broker's own.
    fn is_trusted(&self, origin: &str, headers: &HeaderMap) -> bool {
        let is_listed =
            self.allowed.iter().any(|allowed| allowed == "*" || allowed.eq_ignore_ascii_case(origin));
        let is_own = || {
            authority(origin)
                .zip(host(headers))
                .is_some_and(|(origin, host)| host.eq_ignore_ascii_case(origin))
        };
        is_listed || is_own()
    }
}

/// The host and port of an origin.
fn authority(origin: &str) -> Option<&str> {
    origin.split_once("://").map(|(_, authority)| authority)
}

fn without_port(authority: &str) -> &str {
    match authority.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => authority,
    }
}

/// Whom a request says it is for.
fn host(headers: &HeaderMap) -> Option<&str> {
    headers.get(header::HOST)?.to_str().ok()
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
        let origins = Origins::new(vec!["https://app.example".to_owned()], Reach::Everybody);
        let mut headers = HeaderMap::new();
        headers.insert(header::ORIGIN, HeaderValue::from_str(origin).unwrap());
        headers.insert(header::HOST, HeaderValue::from_str(host).unwrap());
        let allowed = matches!(origins.judge(&headers), Verdict::Allowed { .. });
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
    fn an_open_broker_of_this_machine_is_not_to_be_had_under_a_name_of_the_web() {
        let judge = |host: &'static str, origin: Option<&'static str>| {
            let origins = Origins::new(vec!["https://app.example:8443".to_owned()], Reach::ThisMachine);
            let mut headers = HeaderMap::new();
            headers.insert(header::HOST, HeaderValue::from_static(host));
            if let Some(origin) = origin {
                headers.insert(header::ORIGIN, HeaderValue::from_static(origin));
            }
            origins.judge(&headers)
        };
        for host in [
            "evil.example:7400",
            "evil.example",
            "127.0.0.1.evil.example:7400",
            "evil.example.",
            "a.localhost.evil.example",
        ] {
            assert_eq!(judge(host, None), Verdict::RefusedHost(host.to_owned()), "{host}");
            assert!(
                matches!(judge(host, Some("http://evil.example:7400")), Verdict::RefusedHost(_)),
                "{host}"
            );
        }
        for host in [
            "localhost:7400",
            "127.0.0.1:7400",
            "[::1]:7400",
            "app.localhost",
            "broker:7400",
            "10.0.0.7",
            "app.example",
        ] {
            assert_eq!(judge(host, None), Verdict::None, "{host}");
        }
        // Even a short name is no reason to believe that a page is the broker's own: it may be a neighbour's machine.
        assert!(matches!(judge("broker:7400", Some("http://evil.example")), Verdict::Refused(_)));
    }

    #[test]
    fn no_origin_is_no_browser_and_two_are_a_trick() {
        let origins = Origins::new(Vec::new(), Reach::Everybody);
        let mut headers = HeaderMap::new();
        assert_eq!(origins.judge(&headers), Verdict::None);
        headers.append(header::ORIGIN, HeaderValue::from_static("http://localhost"));
        headers.append(header::ORIGIN, HeaderValue::from_static("https://evil.example"));
        assert!(matches!(origins.judge(&headers), Verdict::Refused(_)));
    }
}
