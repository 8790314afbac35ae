//! The part that `pub` and `sub` share: the broker's URL, the token, the connection, and the text of failures.

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::OnceLock;

use fanwire_broker::operator_file;
use fanwire_client::{Builder, Client, Encoding, Error, ErrorCode};

use crate::terminal;

/// The environment variable that contains the token. The token is no argument, because every user of a machine can read
/// the arguments of its processes.
const TOKEN_VARIABLE: &str = "FANWIRE_TOKEN";

/// The WebSocket close code of a session whose token is not accepted.
const CLOSE_UNAUTHORIZED: u16 = 4401;

/// The way to a token, for a broker that requires one.
const NEEDS_TOKEN: &str = "the broker requires a token: name a file that contains one with --token-file, or set \
                           FANWIRE_TOKEN; 'fanwire token make' makes tokens, 'fanwire token key' makes API keys";

/// The broker and the credentials of a client.
#[derive(Debug, clap::Args)]
pub(crate) struct Connection {
    /// The broker: http://host:port, ws://host:port/ws or host:port; https:// and wss:// use TLS
    #[arg(long, env = "FANWIRE_URL", default_value = "http://127.0.0.1:7400", value_name = "URL")]
    url: String,
    /// A file that contains the token or API key; without it, FANWIRE_TOKEN is used
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// A file with certificates (PEM) of authorities to trust under TLS, in place of those that browsers trust
    #[arg(long, env = "FANWIRE_CA_FILE", value_name = "FILE")]
    ca_file: Option<PathBuf>,
    /// Use MessagePack as the encoding; the default is JSON
    #[arg(long)]
    msgpack: bool,
    /// The token, once it has been read.
    #[arg(skip)]
    token: OnceLock<Result<Option<String>, String>>,
}

/// The reason why a subcommand failed, as one line.
#[derive(Debug)]
pub(crate) struct Failure {
    message: String,
    /// Whether the broker requires credentials, or does not accept those that were sent.
    is_unauthorized: bool,
}

impl Failure {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), is_unauthorized: false }
    }

    /// The same failure, explained by the options of the command line.
    fn explained(self, has_token: bool) -> Self {
        match (self.is_unauthorized, has_token) {
            (false, _) => self,
            (true, false) => Self::new(NEEDS_TOKEN),
            (true, true) => {
                Self::new(format!("{}; check the token in --token-file or FANWIRE_TOKEN", self.message))
            }
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The message may contain text of a broker or proxy: it becomes one line without control characters.
        let words: Vec<&str> = self.message.split_whitespace().collect();
        formatter.write_str(&terminal::visible(&words.join(" ")))
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let is_unauthorized = matches!(
            &error,
            Error::Rejected { code: ErrorCode::Unauthorized, .. }
                | Error::Disconnected { code: Some(CLOSE_UNAUTHORIZED), .. }
                | Error::Refused { status: Some(401), .. }
        );
        let hint = match &error {
            Error::Unreachable { .. } => "; start a broker with 'fanwire serve', or name another with --url",
            Error::Untrusted { reason, .. } if reason.contains("does not speak TLS") => {
                "; write http:// or ws:// in --url if the broker has no TLS"
            }
            Error::Untrusted { .. } | Error::InvalidAuthorities { .. } => {
                "; name the authorities to trust with --ca-file"
            }
            Error::InvalidAddress { .. } => "; correct --url",
            Error::Refused { status: Some(401), .. } => "",
            Error::Refused { .. } => "; check --url",
            _ => "",
        };
        Self { message: format!("{error}{hint}"), is_unauthorized }
    }
}

impl Connection {
    /// Connects as the subcommand `name`.
    pub(crate) async fn open(&self, name: &str) -> Result<Client, Failure> {
        let mut builder = self.builder().name(format!("fanwire-{name}/{}", env!("CARGO_PKG_VERSION")));
        if let Some(path) = &self.ca_file {
            let authorities = operator_file::read_named(path)
                .map_err(|error| Failure::new(format!("cannot read {}: {error}", path.display())))?;
            builder = builder.authorities(authorities);
        }
        if let Some(token) = self.token()? {
            builder = builder.token(token);
        }
        Ok(builder.connect(&self.url).await?)
    }

    fn builder(&self) -> Builder {
        let encoding = if self.msgpack { Encoding::MessagePack } else { Encoding::Json };
        Client::builder().encoding(encoding)
    }

    /// Returns whether the command line or the environment contains a token.
    pub(crate) fn has_token(&self) -> bool {
        matches!(self.token(), Ok(Some(_)))
    }

    /// Returns the token, which is read once: a pipe gives it only once.
    fn token(&self) -> Result<Option<String>, Failure> {
        self.token.get_or_init(|| self.read_token()).clone().map_err(Failure::new)
    }

    fn read_token(&self) -> Result<Option<String>, String> {
        let token = match &self.token_file {
            Some(path) => token_in(path)?,
            None => std::env::var(TOKEN_VARIABLE).unwrap_or_default(),
        };
        let token = token.trim();
        Ok((!token.is_empty()).then(|| token.to_owned()))
    }
}

/// Reads the token in a file, which may be a pipe such as `<(command)`.
fn token_in(path: &Path) -> Result<String, String> {
    let cannot = |reason: &dyn fmt::Display| format!("cannot read the token in {}: {reason}", path.display());
    let bytes = operator_file::read_named(path).map_err(|error| cannot(&error))?;
    String::from_utf8(bytes).map_err(|_| cannot(&"it is not text"))
}

/// Runs the subcommand `name` to its end, and prints its failure if it fails. `has_token` says whether a token is sent.
pub(crate) fn run(name: &str, has_token: bool, work: impl Future<Output = Result<(), Failure>>) -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("fanwire {name}: cannot start: {error}");
            return ExitCode::FAILURE;
        }
    };
    let outcome = runtime.block_on(work);
    // A thread that still waits for a terminal or pipe must not keep the process.
    runtime.shutdown_background();
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("fanwire {name}: {}", failure.explained(has_token));
            ExitCode::FAILURE
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failure_is_one_line_without_control_characters() {
        let failure = Failure::new("HTTP 404\r\n<html>\n  gone \u{1b}[2J\u{9b}\u{202e}</html>\n");
        assert_eq!(failure.to_string(), "HTTP 404 <html> gone \\u{1b}[2J\\u{9b}\\u{202e}</html>");
    }

    #[test]
    fn refused_credentials_are_explained_by_the_options() {
        let rejected = || {
            let message = "begin with a 'connect' frame that has a token".to_owned();
            Failure::from(Error::Rejected { code: ErrorCode::Unauthorized, message })
        };
        let closed = Error::Disconnected { code: Some(4401), reason: "the token has expired".to_owned() };
        for failure in [rejected(), closed.into()] {
            let text = failure.explained(false).to_string();
            for way in ["--token-file", "FANWIRE_TOKEN", "fanwire token"] {
                assert!(text.contains(way), "{way} in {text}");
            }
            assert!(!text.contains("frame"), "{text}");
        }
        let text = rejected().explained(true).to_string();
        assert!(text.ends_with("; check the token in --token-file or FANWIRE_TOKEN"), "{text}");
    }
}
