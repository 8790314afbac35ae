//! The server under measurement: started and stopped by the bench, or one that runs already.

mod certificate;
mod configured;
mod cores;
mod endpoint;
mod probe;
mod process;

use std::fmt::Debug;

pub(crate) use certificate::Certificate;
pub(crate) use configured::Configured;
use configured::Directory;
pub use cores::Cores;
pub(crate) use cores::pin_this_thread;
pub(crate) use endpoint::Endpoint;
pub(crate) use probe::{Probe, Threads};
pub(crate) use process::{Process, ProcessPlan};

/// A server that accepts connections.
#[derive(Debug)]
pub(crate) struct Server {
    /// The endpoint that it listens on.
    pub(crate) endpoint: Endpoint,
    /// The probe for its processor time and memory, if its process is known.
    pub(crate) probe: Option<Probe>,
    /// The parts that end with the measurement. Never read: it is kept to be dropped.
    pub(crate) _owned: Owned,
}

impl Server {
    /// Its address as a `Host` header names it.
    pub(crate) fn host(&self) -> String {
        self.endpoint.address.to_string()
    }
}

/// The parts of the server that belong to the bench.
#[derive(Debug)]
pub(crate) enum Owned {
    /// Nothing: it ran before and runs on.
    Nothing,
    /// A child process of the bench.
    Process(#[expect(dead_code, reason = "kept to be stopped when dropped")] Process),
    /// A child process, and the directory it is configured in, which is removed after it has ended.
    Configured(
        #[cfg_attr(not(test), expect(dead_code, reason = "kept to be stopped when dropped"))] Process,
        #[cfg_attr(not(test), expect(dead_code, reason = "kept to be removed when dropped"))] Directory,
    ),
    /// A server inside this process, which ends when its handle is dropped.
    Inside(#[expect(dead_code, reason = "kept to be stopped when dropped")] Box<dyn Debug>),
}
