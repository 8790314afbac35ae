//! Counters of requests to the server API, by operation and outcome.

use http::{Method, StatusCode};

use super::counter::Counter;

/// The operation that a request asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ApiOperation {
    /// Reads sessions, topics or statistics.
    Read,
    /// Disconnects sessions of a user or topic.
    Disconnect,
    /// Sends a direct message to sessions.
    Send,
    /// Adds subscriptions to sessions.
    Subscribe,
    /// Removes subscriptions from sessions.
    Unsubscribe,
    /// Clears the history of a topic.
    ClearHistory,
}

/// The outcome of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ApiOutcome {
    /// The operation was performed.
    Done,
    /// The request was refused: the key does not permit it, or the request is not valid.
    Refused,
    /// The broker could not perform the operation, or not all of it.
    Failed,
}

impl ApiOperation {
    pub(crate) const ALL: [ApiOperation; 6] = [
        ApiOperation::Read,
        ApiOperation::Disconnect,
        ApiOperation::Send,
        ApiOperation::Subscribe,
        ApiOperation::Unsubscribe,
        ApiOperation::ClearHistory,
    ];

    /// Returns the operation of a request, from its method and the last segment of its path.
    pub(crate) fn of(method: &Method, path: &str) -> Self {
        if *method == Method::DELETE {
            return ApiOperation::ClearHistory;
        }
        match path.rsplit('/').next() {
            Some("disconnect") if *method == Method::POST => ApiOperation::Disconnect,
            Some("send") if *method == Method::POST => ApiOperation::Send,
            Some("subscribe") if *method == Method::POST => ApiOperation::Subscribe,
            Some("unsubscribe") if *method == Method::POST => ApiOperation::Unsubscribe,
            _ => ApiOperation::Read,
        }
    }

    pub(crate) fn label(self) -> &'static str {
        match self {
            ApiOperation::Read => "read",
            ApiOperation::Disconnect => "disconnect",
            ApiOperation::Send => "send",
            ApiOperation::Subscribe => "subscribe",
            ApiOperation::Unsubscribe => "unsubscribe",
            ApiOperation::ClearHistory => "clear_history",
        }
    }
}

impl ApiOutcome {
    pub(crate) const ALL: [ApiOutcome; 3] = [ApiOutcome::Done, ApiOutcome::Refused, ApiOutcome::Failed];

    fn of(status: StatusCode) -> Self {
        if status.is_server_error() {
            ApiOutcome::Failed
        } else if status.is_client_error() {
            ApiOutcome::Refused
        } else {
            ApiOutcome::Done
        }
    }

    pub(crate) fn label(self) -> &'static str {
        match self {
            ApiOutcome::Done => "done",
            ApiOutcome::Refused => "refused",
            ApiOutcome::Failed => "failed",
        }
    }
}

/// Counters of the requests that one worker has answered.
#[derive(Debug, Default)]
pub(crate) struct ApiRequestCounters([[Counter; ApiOutcome::ALL.len()]; ApiOperation::ALL.len()]);

impl ApiRequestCounters {
    /// Counts a request that was answered with `status`. Only the worker's own thread may call this.
    pub(crate) fn answered(&self, operation: ApiOperation, status: StatusCode) {
        self.0[operation as usize][ApiOutcome::of(status) as usize].add(1);
    }

    /// Returns one count: operation by operation, and the outcomes of each.
    pub(super) fn value(&self, index: usize) -> u64 {
        self.0.as_flattened()[index].value()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operations_follow_from_method_and_path() {
        for (method, path, expected) in [
            (Method::GET, "/sessions", ApiOperation::Read),
            (Method::GET, "/users/send", ApiOperation::Read),
            (Method::POST, "/users/ann/send", ApiOperation::Send),
            (Method::POST, "/sessions/1f/unsubscribe", ApiOperation::Unsubscribe),
            (Method::DELETE, "/topics/a/history", ApiOperation::ClearHistory),
        ] {
            assert_eq!(ApiOperation::of(&method, path), expected, "{method} {path}");
        }
        for (index, operation) in ApiOperation::ALL.into_iter().enumerate() {
            assert_eq!(operation as usize, index);
        }
    }
}
