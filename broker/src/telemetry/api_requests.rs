//! Server calls as they are counted: by what they were and by what became of them.

use http::{Method, StatusCode};

use super::Counter;

/// What a call is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ApiOperation {
    /// It only looks.
    Read,
    /// It ends sessions.
    Disconnect,
    /// It says something to sessions.
    Send,
    /// It begins subscriptions.
    Subscribe,
    /// It ends subscriptions.
    Unsubscribe,
    /// It clears history.
    ClearHistory,
}

/// What became of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ApiOutcome {
    /// What was asked for.
    Done,
    /// Nothing: whoever called may not, or asked for something that cannot be.
    Refused,
    /// Nothing, or not all: the broker could not.
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

    /// What a request asks for, told by its method and the end of its path.
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

/// The calls that one worker has answered.
#[derive(Debug, Default)]
pub(crate) struct ApiRequestCounters([[Counter; ApiOutcome::ALL.len()]; ApiOperation::ALL.len()]);

impl ApiRequestCounters {
    /// Counts a call that was answered with `status`. Only the worker's own thread may call this.
    pub(crate) fn answered(&self, call: ApiOperation, status: StatusCode) {
        self.0[call as usize][ApiOutcome::of(status) as usize].add(1);
    }

    /// How many there were.
    pub(super) fn count(&self, call: ApiOperation, outcome: ApiOutcome) -> u64 {
        self.0[call as usize][outcome as usize].value()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_told_apart_by_method_and_path() {
        for (method, path, expected) in [
            (Method::GET, "/sessions", ApiOperation::Read),
            (Method::GET, "/users/send", ApiOperation::Read),
            (Method::POST, "/users/ann/send", ApiOperation::Send),
            (Method::POST, "/sessions/1f/unsubscribe", ApiOperation::Unsubscribe),
            (Method::DELETE, "/topics/a/history", ApiOperation::ClearHistory),
        ] {
            assert_eq!(ApiOperation::of(&method, path), expected, "{method} {path}");
        }
        for (index, call) in ApiOperation::ALL.into_iter().enumerate() {
            assert_eq!(call as usize, index);
        }
    }
}
