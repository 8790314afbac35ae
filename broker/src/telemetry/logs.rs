//! Logs: text on a terminal, JSON lines otherwise, to standard error.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

/// The reason why logging could not be started.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The filter cannot be read.
    #[error("log.filter '{0}' cannot be read: write a level such as 'info', or 'info,fanwire_broker=debug'")]
    BadFilter(String),
    /// This process has started logging already.
    #[error("logging was started already")]
    AlreadyStarted,
}

/// Starts logging to standard error for the whole process. `filter` is a level, or a list of `target=level`; `json`
/// selects one JSON object per line; `None` selects it unless standard error is a terminal.
///
/// # Errors
/// If the filter cannot be read or logging was started before.
pub fn start_logs(filter: &str, json: Option<bool>) -> Result<(), LogError> {
    let parsed = EnvFilter::try_new(filter).map_err(|_| LogError::BadFilter(filter.to_owned()))?;
    let is_terminal = std::io::stderr().is_terminal();
    // An error message about standard error would be written to standard error, and panic there.
    let builder = tracing_subscriber::fmt()
        .with_env_filter(parsed)
        .with_writer(std::io::stderr)
        .log_internal_errors(false);
    let started = if json.unwrap_or(!is_terminal) {
        builder.json().flatten_event(true).try_init()
    } else {
        builder.with_ansi(is_terminal).with_target(false).try_init()
    };
    started.map_err(|_| LogError::AlreadyStarted)
}
