//! The body of a server API request: a JSON object whose fields are read one by one, so that an error names the wrong one.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::body::Body;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use crate::http::body::read_body;
use crate::problem::Problem;

/// The maximum size in bytes of a body that carries no payload.
pub(super) const BODY_BYTES_MAX: usize = 16 * 1024;

/// The fields of one body that have not been read yet.
#[derive(Debug)]
pub(super) struct Fields(BTreeMap<String, Box<RawValue>>);

impl Fields {
    /// Reads a body of at most `bytes_max`. An absent body has no fields.
    ///
    /// # Errors
    /// If the body is too large, does not arrive within `timeout`, or is not a JSON object.
    pub(super) async fn read(body: Body, bytes_max: usize, timeout: Duration) -> Result<Self, Problem> {
        Self::parse(&read_body(body, bytes_max, timeout).await?)
    }

    fn parse(body: &[u8]) -> Result<Self, Problem> {
        if body.trim_ascii().is_empty() {
            return Ok(Self(BTreeMap::new()));
        }
        serde_json::from_slice(body)
            .map(Self)
            .map_err(|error| Problem::bad_request(format!("the body is no JSON object: {error}")))
    }

    /// Takes a field that may be absent or null. `expected` names the valid values.
    ///
    /// # Errors
    /// If the field is there and has another type.
    pub(super) fn take<T: DeserializeOwned>(
        &mut self,
        name: &str,
        expected: &str,
    ) -> Result<Option<T>, Problem> {
        let Some(value) = self.0.remove(name) else { return Ok(None) };
        serde_json::from_str(value.get())
            .map_err(|_| Problem::bad_request(format!("{name}: expected {expected}")))
    }

    /// Checks that no field is left. `known` names the valid fields.
    ///
    /// # Errors
    /// If a field is left: it was meant to have an effect, and would have none.
    pub(super) fn finish(self, known: &str) -> Result<(), Problem> {
        match self.0.keys().next() {
            None => Ok(()),
            Some(name) => {
                let name: String = name.escape_debug().take(100).collect();
                Err(Problem::bad_request(format!("{name}: there is no such field here; there are {known}")))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(body: &str, expected: Result<(Option<u16>, Option<String>), &str>) {
        let read = || {
            let mut fields = Fields::parse(body.as_bytes())?;
            let taken = (fields.take("code", "a number")?, fields.take("reason", "text")?);
            fields.finish("'code' and 'reason'")?;
            Ok(taken)
        };
        match (read(), expected) {
            (Ok(got), Ok(expected)) => assert_eq!(got, expected, "{body}"),
            (Err(problem), Err(expected)) => {
                let problem: Problem = problem;
                let detail = String::from_utf8(problem.into_response().into_body().to_vec()).unwrap();
                assert!(detail.contains(expected), "{body}: {detail}");
            }
            (got, expected) => panic!("{body}: {got:?}, not {expected:?}"),
        }
    }

    #[test]
    fn a_body_is_read_field_by_field_and_errors_name_the_field() {
        check("", Ok((None, None)));
        check(" {} ", Ok((None, None)));
        check(r#"{"code":4440,"reason":null}"#, Ok((Some(4440), None)));
        check(r#"{"reason":"so"}"#, Ok((None, Some("so".to_owned()))));
        check(r#"{"code":"4440"}"#, Err("code: expected a number"));
        check(r#"{"code":70000}"#, Err("code: expected a number"));
        check(r#"{"reason":7}"#, Err("reason: expected text"));
        check(r#"{"resaon":"x"}"#, Err("resaon: there is no such field here; there are 'code' and 'reason'"));
        check("[]", Err("no JSON object"));
        check("{", Err("no JSON object"));
    }
}
