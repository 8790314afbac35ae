//! Which processor core the server and the load run on, so that neither takes time from the other.

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

use crate::error::BenchError;

/// One core for the server, another one for the load.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cores {
    /// The core of the server.
    pub server: usize,
    /// The core of the load generator.
    pub load: usize,
}

impl Cores {
    /// Checks that this process may use both cores.
    ///
    /// # Errors
    /// Says which core is not to be had, or that both are the same.
    pub fn check(self) -> Result<Self, BenchError> {
        let allowed = sched_getaffinity(None)
            .map_err(|error| BenchError::System("reading the allowed cores", error.into()))?;
        if self.server == self.load {
            return Err(BenchError::Plan("the server and the load need different cores".into()));
        }
        for core in [self.server, self.load] {
            if core >= CpuSet::MAX_CPU || !allowed.is_set(core) {
                return Err(BenchError::Plan(format!(
                    "core {core} is not to be had here: choose others, or measure without pinning (--no-pin)"
                )));
            }
        }
        Ok(self)
    }
}

/// Keeps the calling thread, and what it starts from now on, on one core.
pub(crate) fn pin_this_thread(core: usize) -> Result<(), BenchError> {
    let mut cores = CpuSet::new();
    cores.set(core);
    sched_setaffinity(None, &cores).map_err(|error| BenchError::System("pinning to a core", error.into()))
}
