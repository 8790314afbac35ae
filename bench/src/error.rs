//! The reason why a benchmark could not be run or finished.

use std::io;
use std::net::SocketAddr;

/// An error that ends a benchmark, by what the caller can do about it.
#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    /// The plan asks for something that cannot be measured: change the plan.
    #[error("{0}")]
    Plan(String),
    /// The server could not be started: install it, or say where it is.
    #[error("{program} could not be started: {reason}")]
    Start {
        /// The path of the program.
        program: String,
        /// The event, with the last lines that the program printed.
        reason: String,
    },
    /// The server is not here to be measured, or cannot do what the scenario asks for; others can be measured without it.
    #[error("{0}")]
    LeftOut(String),
    /// No server accepts connections at the address.
    #[error("cannot connect to {address}: {error}")]
    Connect {
        /// The address that was tried.
        address: SocketAddr,
        /// The error of the operating system.
        error: io::Error,
    },
    /// The server stopped answering while connections were being opened.
    #[error("the server did not answer while a connection was being opened: {0}")]
    Handshake(io::Error),
    /// The server answered with something else than was asked for.
    #[error("{0}")]
    Refused(String),
    /// The server ended a publisher's connection during the run, so that the run measured nothing.
    #[error("publisher {publisher} was cut off: {reason}")]
    PublisherLost {
        /// The number of the publisher.
        publisher: u16,
        /// The reason, as the server gave it.
        reason: String,
    },
    /// A call into the operating system failed.
    #[error("{0} failed: {1}")]
    System(&'static str, io::Error),
}
