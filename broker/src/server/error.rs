//! The errors that stop a start. Each text is a whole sentence for the operator.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use crate::tls::TlsError;

/// An error that prevents the broker from starting, or ends it.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The configuration would let all clients of the network in without credentials, and does not say so.
    #[error(
        "{0} can be reached from other machines and no client would need credentials: write [auth] with a secret_file or \
         public_key_file into the configuration, listen on a loopback address (the default, 127.0.0.1:7400), or pass \
         --open if every client may publish and subscribe"
    )]
    OpenToAll(SocketAddr),
    /// The broker cannot listen on the address.
    #[error("cannot listen on {address}: {source}{}", remedy(source))]
    Listen {
        /// The address as configured.
        address: SocketAddr,
        /// The error of the operating system.
        source: io::Error,
    },
    /// The keys and secrets for credentials cannot be read.
    #[error("{0}")]
    Auth(String),
    /// The certificate cannot be used.
    #[error("tls: {0}")]
    Tls(#[from] TlsError),
    /// The application behind hooks cannot be called.
    #[error("{0}")]
    Hooks(String),
    /// The secret of a Pusher app cannot be read.
    #[error("pusher.app '{app}': {reason}")]
    Pusher {
        /// The id of the app.
        app: String,
        /// A sentence with the file.
        reason: String,
    },
    /// A `[[topic]]` pattern is not valid.
    #[error("topic.match '{pattern}': {source}")]
    Pattern {
        /// The pattern as configured.
        pattern: String,
        /// The rule that the pattern breaks.
        source: fanwire_core::rule_pattern::RulePatternError,
    },
    /// The data directory cannot be created.
    #[error("the data directory {} cannot be created: {source}", .directory.display())]
    DataDirectory {
        /// The directory as configured.
        directory: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
    /// The data directory cannot be used.
    #[error("{0}")]
    Store(String),
    /// A thread, a runtime or a metric could not be created.
    #[error("cannot start: {0}")]
    Start(String),
}

/// Returns what to do about an address on which the broker cannot listen.
fn remedy(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::AddrInUse => {
            "; another program listens there, perhaps another broker: stop it, or choose a port with --port or 'listen'"
        }
        io::ErrorKind::PermissionDenied => {
            "; ports below 1024 need a privilege: choose a port with --port or 'listen', or grant CAP_NET_BIND_SERVICE"
        }
        io::ErrorKind::AddrNotAvailable => "; no network interface of this machine has this address",
        _ => "",
    }
}
