//! Query parameters of URLs that take few or none: a misspelt parameter is an error, because it was meant to have an effect.

use http::Uri;

use crate::problem::{Problem, quoted};

/// The parameter that every URL takes: credentials of clients that can send no headers.
const TOKEN: &str = "token";

/// Refuses every query parameter of `uri` that is neither `token` nor among `known`.
///
/// # Errors
/// Names the first parameter that the URL does not take, and those that it takes.
pub(super) fn refuse_parameters(uri: &Uri, known: &[&str]) -> Result<(), Problem> {
    let query = uri.query().unwrap_or("");
    let is_known = |name: &str| name == TOKEN || known.contains(&name);
    let unknown = form_urlencoded::parse(query.as_bytes()).map(|(name, _)| name).find(|name| !is_known(name));
    let Some(name) = unknown else { return Ok(()) };
    let list = match known {
        [] => "this URL takes none but 'token'".to_owned(),
        _ => format!("this URL takes 'token', '{}'", known.join("', '")),
    };
    Err(Problem::bad_request(format!("'{}' is no query parameter here: {list}", quoted(&name))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_parameter_is_named_with_those_that_there_are() {
        let check = |uri: &'static str| refuse_parameters(&Uri::from_static(uri), &["limit", "after"]);
        for uri in ["/a", "/a?", "/a?limit=1&after=x", "/a?token=t"] {
            assert!(check(uri).is_ok(), "{uri}");
        }
        let problem = check("/a?limit=1&lmit=2").unwrap_err();
        let body = String::from_utf8(problem.into_response().into_body().to_vec()).unwrap();
        assert!(body.contains("'lmit'") && body.contains("'after'"), "{body}");
    }
}
