//! Query strings of calls: parameters that are asked for one by one, so that an error can name the one that is wrong.

use std::collections::BTreeMap;

use crate::problem::Problem;

/// How many entries a page has if nothing else is asked for.
const LIMIT_DEFAULT: usize = 100;

/// How many it has at most.
const LIMIT_MAX: usize = 1000;

/// The parameters of one request. Of one that is there twice, the last counts; one that is empty counts as not there.
pub(super) struct Parameters(BTreeMap<String, String>);

impl Parameters {
    /// Reads a query string.
    pub(super) fn parse(query: Option<&str>) -> Self {
        let pairs = form_urlencoded::parse(query.unwrap_or("").as_bytes());
        let is_said = |(_, value): &(_, std::borrow::Cow<'_, str>)| !value.is_empty();
        Self(pairs.filter(is_said).map(|(name, value)| (name.into_owned(), value.into_owned())).collect())
    }

    /// A parameter as it is written.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// What `read` makes of a parameter; `expected` says what it must be.
    ///
    /// # Errors
    /// If it is there and `read` can make nothing of it.
    pub(super) fn read<T>(
        &self,
        name: &str,
        expected: &str,
        read: impl FnOnce(&str) -> Option<T>,
    ) -> Result<Option<T>, Problem> {
        let Some(value) = self.text(name) else { return Ok(None) };
        read(value).map(Some).ok_or_else(|| Problem::bad_request(format!("{name}: expected {expected}")))
    }

    /// How many entries a page is to have at most.
    ///
    /// # Errors
    /// If `limit` is no number, or not one that is allowed.
    pub(super) fn limit(&self) -> Result<usize, Problem> {
        let in_bounds = |text: &str| text.parse().ok().filter(|limit| (1..=LIMIT_MAX).contains(limit));
        Ok(self.read("limit", &format!("1 to {LIMIT_MAX}"), in_bounds)?.unwrap_or(LIMIT_DEFAULT))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_name_the_parameter() {
        let parameters = Parameters::parse(Some("limit=0&user=a%20b&empty="));
        assert_eq!((parameters.text("user"), parameters.text("empty")), (Some("a b"), None));
        let problem = parameters.limit().unwrap_err();
        let detail = String::from_utf8(problem.into_response().into_body().to_vec()).unwrap();
        assert!(detail.contains("limit: expected 1 to 1000"), "{detail}");
        assert_eq!(Parameters::parse(None).limit().unwrap(), 100);
        assert_eq!(Parameters::parse(Some("limit=1000")).limit().unwrap(), 1000);
    }
}
