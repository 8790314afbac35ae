//! Names in the paths of server API requests: of sessions, users and topics.

use axum::extract::{FromRequestParts, Path};
use fanwire_protocol::Topic;
use http::StatusCode;
use http::request::Parts;

use crate::problem::{Problem, ProblemCode};

/// The session that a path names by its connection.
pub(super) struct SessionName(pub(super) u64);

/// The user that a path names.
pub(super) struct UserName(pub(super) String);

/// The topic that a path names.
pub(super) struct TopicName(pub(super) Topic);

impl SessionName {
    /// Returns the problem for a session that does not exist.
    pub(super) fn unknown(name: &str) -> Problem {
        let detail = format!(
            "there is no session '{}': it has ended or never existed; /api/v1/sessions lists all sessions",
            name.escape_debug().take(100).collect::<String>()
        );
        Problem::new(StatusCode::NOT_FOUND, ProblemCode::NotFound, detail)
    }

    /// Returns the same problem for this session.
    pub(super) fn is_unknown(&self) -> Problem {
        Self::unknown(&format!("{:x}", self.0))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for SessionName {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let name = segment(parts, state).await?;
        // A name is what the broker wrote, letter by letter; anything else names nothing.
        let number = u64::from_str_radix(&name, 16).ok().filter(|number| format!("{number:x}") == name);
        number.map(Self).ok_or_else(|| Self::unknown(&name))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for UserName {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        segment(parts, state).await.map(Self)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for TopicName {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let name = segment(parts, state).await?;
        Topic::new(&name).map(Self).map_err(|error| Problem::bad_topic(&name, error))
    }
}

/// Returns the segment of the path that is a name, percent-decoded.
async fn segment<S: Send + Sync>(parts: &mut Parts, state: &S) -> Result<String, Problem> {
    let path = Path::<String>::from_request_parts(parts, state).await;
    path.map(|Path(name)| name)
        .map_err(|_| Problem::bad_request("the name in the path is not UTF-8 once percent-decoded"))
}
