//! Finds the credentials of a request: in the `Authorization` header, the query, or a cookie.

use http::{HeaderMap, header};

use crate::secret::Secret;

/// The name of the query parameter with a token, for clients that can send no headers.
const QUERY_PARAMETER: &str = "token";

/// Returns the credentials of a request. The `Authorization` header (RFC 6750 §2.1) takes precedence over the query, and both over
/// the cookie of the name `cookie`. Schemes other than `Bearer` are ignored: they are meant for a proxy in between.
pub(super) fn find(headers: &HeaderMap, query: &str, cookie: Option<&str>) -> Option<Secret> {
    let found = bearer(headers)
        .map(str::to_owned)
        .or_else(|| parameter(query))
        .or_else(|| cookie.and_then(|name| cookie_value(headers, name)).map(str::to_owned));
    found.map(Secret::new)
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    headers.get_all(header::AUTHORIZATION).iter().find_map(|value| {
        let (scheme, token) = value.to_str().ok()?.trim().split_once(' ')?;
        let token = token.trim();
        (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
    })
}

fn parameter(query: &str) -> Option<String> {
    form_urlencoded::parse(query.as_bytes())
        .find(|(name, value)| name == QUERY_PARAMETER && !value.is_empty())
        .map(|(_, value)| value.into_owned())
}

/// Returns the value of a cookie (RFC 6265 §4.2.1).
fn cookie_value<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find(|(known, value)| *known == name && !value.is_empty())
        .map(|(_, value)| value.trim_matches('"'))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn check(headers: &[(&'static str, &'static str)], query: &str, expected: Option<&str>) {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, HeaderValue::from_static(value));
        }
        let found = find(&map, query, Some("session"));
        assert_eq!(found.as_ref().map(Secret::reveal), expected, "{headers:?} {query}");
    }

    #[test]
    fn the_header_comes_before_the_query_and_that_before_the_cookie() {
        let cookie = ("cookie", "a=1; session=from-cookie; b=2");
        check(&[("authorization", "Bearer from-header"), cookie], "token=from-query", Some("from-header"));
        check(&[cookie], "topic=a&token=from%2Dquery", Some("from-query"));
        check(&[cookie], "topic=a", Some("from-cookie"));
        check(&[("cookie", "session=\"quoted\"")], "", Some("quoted"));
        check(&[("authorization", "bearer  spaced ")], "", Some("spaced"));
    }

    #[test]
    fn what_is_no_credential_of_ours_is_let_be() {
        check(&[("authorization", "Basic YTpi")], "", None);
        check(&[("authorization", "Bearer ")], "token=", None);
        check(&[("authorization", "Bearer")], "tokens=a", None);
        check(&[("cookie", "xsession=a; session=")], "", None);
    }
}
