//! Query strings of server API requests: each parameter is read by its name, so that an error names the wrong one.

use std::collections::BTreeMap;

use http::Uri;

use crate::http::parameters::refuse_parameters;
use crate::problem::Problem;

/// The number of entries of a page if the request names none.
const LIMIT_DEFAULT: usize = 100;

/// The maximum number of entries of a page.
const LIMIT_MAX: usize = 1000;

/// The query parameters of one request. Of a parameter that occurs twice, the last counts; an empty one counts as absent.
pub(super) struct Parameters(BTreeMap<String, String>);

impl Parameters {
    /// Reads the query string of `uri`, which takes the parameters `known`.
    ///
    /// # Errors
    /// If there is a parameter of another name.
    pub(super) fn parse(uri: &Uri, known: &[&str]) -> Result<Self, Problem> {
        refuse_parameters(uri, known)?;
        let pairs = form_urlencoded::parse(uri.query().unwrap_or("").as_bytes());
        let is_said = |(_, value): &(_, std::borrow::Cow<'_, str>)| !value.is_empty();
        Ok(Self(pairs.filter(is_said).map(|(name, value)| (name.into_owned(), value.into_owned())).collect()))
    }

    /// Returns a parameter as it is written.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// Reads a parameter with `read`. `expected` names the valid values.
    ///
    /// # Errors
    /// If the parameter is there and `read` returns `None`.
    pub(super) fn read<T>(
        &self,
        name: &str,
        expected: &str,
        read: impl FnOnce(&str) -> Option<T>,
    ) -> Result<Option<T>, Problem> {
        let Some(value) = self.text(name) else { return Ok(None) };
        read(value).map(Some).ok_or_else(|| Problem::bad_request(format!("{name}: expected {expected}")))
    }

    /// Returns the maximum number of entries of the requested page.
    ///
    /// # Errors
    /// If `limit` is not a number in the allowed range.
    pub(super) fn limit(&self) -> Result<usize, Problem> {
        let in_bounds = |text: &str| text.parse().ok().filter(|limit| (1..=LIMIT_MAX).contains(limit));
        Ok(self.read("limit", &format!("1 to {LIMIT_MAX}"), in_bounds)?.unwrap_or(LIMIT_DEFAULT))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(uri: &'static str) -> Parameters {
        Parameters::parse(&Uri::from_static(uri), &["limit", "user", "empty"]).unwrap()
    }

    #[test]
    fn errors_name_the_parameter() {
        let parameters = parse("/?limit=0&user=a%20b&empty=");
        assert_eq!((parameters.text("user"), parameters.text("empty")), (Some("a b"), None));
        let problem = parameters.limit().unwrap_err();
        let detail = String::from_utf8(problem.into_response().into_body().to_vec()).unwrap();
        assert!(detail.contains("limit: expected 1 to 1000"), "{detail}");
        assert_eq!(parse("/").limit().unwrap(), 100);
        assert_eq!(parse("/?limit=1000").limit().unwrap(), 1000);
    }
}
