//! Decides which web pages may use the broker, by the `Origin` header (RFC 6454) and the host of the request.
//!
//! Browsers let any page open a WebSocket or send a form to any host. Only the `Origin` header tells whose page it is.

use std::sync::{PoisonError, RwLock};

use http::{HeaderMap, HeaderValue, header};

use super::authority::{Authority, Origin, Scheme};
use crate::problem::quoted;

/// The origins that are let in.
#[derive(Debug, Clone)]
struct Origins {
    /// Whether `*` is listed, which lets in all origins.
    lets_in_all: bool,
    allowed: Vec<Origin>,
    reach: Reach,
}

/// The clients that the broker is there for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reach {
    /// Every client that can reach the broker and shows the credentials that it wants.
    Network,
    /// Every client on this machine, without credentials. A host name that is not this machine's own is then an attack: a page
    /// from the web whose name was made to point here (DNS rebinding), so that the browser takes the broker for its own site.
    ThisMachine,
}

/// The origins that all workers use. They may change while the workers run.
#[derive(Debug)]
pub(crate) struct SharedOrigins(RwLock<Origins>);

impl SharedOrigins {
    /// Lets in the origins `allowed` beside the broker's own and those on loopback.
    pub(crate) fn new(allowed: Vec<String>, reach: Reach) -> Self {
        Self(RwLock::new(Origins::new(&allowed, reach)))
    }

    /// Replaces the list of origins.
    pub(crate) fn change(&self, allowed: Vec<String>) {
        let mut origins = self.0.write().unwrap_or_else(PoisonError::into_inner);
        *origins = Origins::new(&allowed, origins.reach);
    }

    /// Judges a request to `host` (`None` if the request names none, as HTTP/1.0 may) over a connection of `scheme`.
    pub(crate) fn judge(&self, headers: &HeaderMap, host: Option<&Authority>, scheme: &Scheme) -> Verdict {
        self.0.read().unwrap_or_else(PoisonError::into_inner).judge(headers, host, scheme)
    }
}

/// The decision about the origin of a request.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The request has no origin: it comes from a program, or from a page of the broker itself.
    None,
    /// The page may use the broker.
    Allowed {
        /// The origin as the browser wrote it.
        origin: HeaderValue,
        /// Whether cookies of the request count. Cookies that a page of this machine sends to a broker elsewhere do not: any
        /// program may have served the page, and the user did not intend it.
        may_use_cookies: bool,
    },
    /// The host is not the broker's, whatever the origin.
    RefusedHost,
    /// The page may not use the broker.
    Refused {
        /// The origin, shortened to what is safe to repeat.
        origin: String,
        /// The origin as the browser wrote it, if a browser can have written it.
        header: Option<HeaderValue>,
    },
}

impl Origins {
    fn new(allowed: &[String], reach: Reach) -> Self {
        Self {
            lets_in_all: allowed.iter().any(|origin| origin == "*"),
            allowed: allowed.iter().filter_map(|origin| Origin::parse(origin)).collect(),
            reach,
        }
    }

    fn judge(&self, headers: &HeaderMap, host: Option<&Authority>, scheme: &Scheme) -> Verdict {
        if self.reach == Reach::ThisMachine && host.is_some_and(|host| !self.may_be_called(host)) {
            return Verdict::RefusedHost;
        }
        let Some(header) = headers.get(header::ORIGIN) else { return Verdict::None };
        let is_only = headers.get_all(header::ORIGIN).iter().count() == 1;
        let text = header.to_str().ok().filter(|_| is_only);
        let origin = text.and_then(Origin::parse);
        let is_trusted = match &origin {
            _ if text.is_some() && self.lets_in_all => true,
            Some(origin) => {
                self.allowed.iter().any(|allowed| allowed.equals(origin))
                    || host.is_some_and(|host| origin.is_of(scheme, host))
            }
            None => false,
        };
        if is_trusted {
            return Verdict::Allowed { origin: header.clone(), may_use_cookies: true };
        }
        if origin.as_ref().is_some_and(|origin| origin.authority().is_loopback()) {
            let may_use_cookies = host.is_some_and(Authority::is_loopback);
            return Verdict::Allowed { origin: header.clone(), may_use_cookies };
        }
        let is_of_a_browser = origin.is_some() || text == Some("null");
        Verdict::Refused {
            origin: quoted(&String::from_utf8_lossy(header.as_bytes())),
            header: is_of_a_browser.then(|| header.clone()),
        }
    }

    /// Returns whether a broker of this machine may be reached as `host`: by an address, by a name without dots, which no name
    /// server of the web answers for, by a loopback name, or by the host of a listed origin.
    fn may_be_called(&self, host: &Authority) -> bool {
        host.is_local_name()
            || host.is_loopback()
            || self.lets_in_all
            || self.allowed.iter().any(|allowed| allowed.authority().has_host_of(host))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judge(origins: &Origins, origin: Option<&str>, host: &str, scheme: Scheme) -> Verdict {
        let mut headers = HeaderMap::new();
        if let Some(origin) = origin {
            headers.insert(header::ORIGIN, HeaderValue::from_str(origin).unwrap());
        }
        origins.judge(&headers, Authority::parse(host).as_ref(), &scheme)
    }

    fn check(origin: &str, host: &str, expected: bool) {
        let listed = ["https://app.example".to_owned(), "https://port.example:443".to_owned()];
        let origins = Origins::new(&listed, Reach::Network);
        let verdict = judge(&origins, Some(origin), host, Scheme::Http);
        assert_eq!(matches!(verdict, Verdict::Allowed { .. }), expected, "{origin} at {host}");
    }

    #[test]
    fn listed_own_and_loopback_origins_are_let_in_and_look_alikes_are_not() {
        check("https://app.example", "broker.example", true);
        check("https://app.example:443", "broker.example", true);
        check("https://port.example", "broker.example", true);
        check("https://broker.example:8443", "broker.example:8443", true);
        check("https://shop.example", "shop.example:443", true);
        check("http://localhost:3000", "broker.example", true);
        check("http://127.0.0.1", "broker.example", true);
        check("http://[::1]:80", "broker.example", true);
        check("http://app.example", "broker.example", false);
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
    fn under_tls_an_http_page_of_the_same_host_is_foreign() {
        let origins = Origins::new(&[], Reach::Network);
        let under_tls = |origin| judge(&origins, Some(origin), "shop.example", Scheme::Https);
        let allowed =
            |origin| Verdict::Allowed { origin: HeaderValue::from_static(origin), may_use_cookies: true };
        assert_eq!(under_tls("https://shop.example"), allowed("https://shop.example"));
        assert!(matches!(under_tls("http://shop.example"), Verdict::Refused { header: Some(_), .. }));
    }

    #[test]
    fn an_open_broker_of_this_machine_is_not_to_be_had_under_a_name_of_the_web() {
        let origins = Origins::new(&["https://app.example:8443".to_owned()], Reach::ThisMachine);
        let judge = |host, origin| judge(&origins, origin, host, Scheme::Http);
        for host in [
            "evil.example:7400",
            "evil.example",
            "127.0.0.1.evil.example:7400",
            "evil.example.",
            "a.localhost.evil.example",
        ] {
            assert_eq!(judge(host, None), Verdict::RefusedHost, "{host}");
            assert_eq!(judge(host, Some("http://evil.example:7400")), Verdict::RefusedHost, "{host}");
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
        // Even a short name does not make a page the broker's own: it may belong to a neighbour's machine.
        assert!(matches!(judge("broker:7400", Some("http://evil.example")), Verdict::Refused { .. }));
    }

    #[test]
    fn no_origin_is_no_browser_and_two_are_an_attack() {
        let origins = Origins::new(&[], Reach::Network);
        let mut headers = HeaderMap::new();
        assert_eq!(origins.judge(&headers, None, &Scheme::Http), Verdict::None);
        headers.append(header::ORIGIN, HeaderValue::from_static("http://localhost"));
        headers.append(header::ORIGIN, HeaderValue::from_static("https://evil.example"));
        assert!(matches!(
            origins.judge(&headers, None, &Scheme::Http),
            Verdict::Refused { header: None, .. }
        ));
    }
}
