//! What `pub` and `sub` share: where the broker is, how to connect, and how failures are said.

use std::fmt;
use std::path::PathBuf;
use std::process::ExitCode;

use fanwire_client::{Builder, Client, Encoding, Error};

/// The environment variable with the token. It is no argument, because every user of a machine sees those.
const TOKEN_VARIABLE: &str = "FANWIRE_TOKEN";

/// Where the broker is and who asks.
#[derive(Debug, clap::Args)]
pub(crate) struct Connection {
    /// The broker: http://host:port, ws://host:port/ws or host:port; https:// and wss:// under TLS
    #[arg(long, env = "FANWIRE_URL", default_value = "http://127.0.0.1:7400", value_name = "URL")]
    url: String,
    /// A file with the token to show; without it, the token is taken from FANWIRE_TOKEN
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// A file with the certificates (PEM) of those to trust under TLS, in place of those whom browsers trust
    #[arg(long, env = "FANWIRE_CA_FILE", value_name = "FILE")]
    ca_file: Option<PathBuf>,
    /// Speak MessagePack with the broker; without it, JSON
    #[arg(long)]
    msgpack: bool,
}

/// Why a subcommand failed, as one line for people.
#[derive(Debug)]
pub(crate) struct Failure(String);

impl Failure {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self(message.into())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        // One line, whatever a broker or proxy put into its answer.
        let words: Vec<&str> = self.0.split_whitespace().collect();
        formatter.write_str(&words.join(" "))
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let hint = match &error {
            Error::Unreachable { .. } => "; start a broker with 'fanwire serve', or name another with --url",
            Error::Untrusted { .. } | Error::InvalidAuthorities { .. } => {
                "; name whom to trust with --ca-file"
            }
            Error::Refused { status: Some(401 | 403), .. } => {
                "; show a token with FANWIRE_TOKEN or --token-file"
            }
            Error::Refused { .. } => "; is --url right?",
            _ => "",
        };
        Self(format!("{error}{hint}"))
    }
}

impl Connection {
    /// Connects, as the subcommand `name`.
    pub(crate) async fn open(&self, name: &str) -> Result<Client, Failure> {
        let mut builder = self.builder().name(format!("fanwire-{name}/{}", env!("CARGO_PKG_VERSION")));
        if let Some(path) = &self.ca_file {
            let authorities = std::fs::read(path)
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

    fn token(&self) -> Result<Option<String>, Failure> {
        let token = match &self.token_file {
            Some(path) => std::fs::read_to_string(path).map_err(|error| {
                Failure::new(format!("cannot read the token in {}: {error}", path.display()))
            })?,
            None => std::env::var(TOKEN_VARIABLE).unwrap_or_default(),
        };
        let token = token.trim();
        Ok((!token.is_empty()).then(|| token.to_owned()))
    }
}

/// Runs a subcommand to its end and says how it failed, if it did.
pub(crate) fn run(name: &str, work: impl Future<Output = Result<(), Failure>>) -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("fanwire {name}: cannot start: {error}");
            return ExitCode::FAILURE;
        }
    };
    let outcome = runtime.block_on(work);
    // Nothing is left that matters; a thread that still waits for a terminal or pipe must not keep the process.
    runtime.shutdown_background();
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("fanwire {name}: {failure}");
            ExitCode::FAILURE
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_one_line() {
        let failure = Failure::new("HTTP 404\r\n<html>\n  gone </html>\n");
        assert_eq!(failure.to_string(), "HTTP 404 <html> gone </html>");
    }
}
