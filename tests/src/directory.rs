//! A data directory of one test.

use std::path::{Path, PathBuf};

use crate::{Broker, STEPPED_ARCHIVE, temporary};

/// A directory that is removed with everything in it when it is dropped.
pub struct DataDirectory(PathBuf);

impl Default for DataDirectory {
    fn default() -> Self {
        Self::new()
    }
}

impl DataDirectory {
    /// A directory that does not exist yet: the broker makes it.
    pub fn new() -> Self {
        Self(temporary("data"))
    }

    /// Returns the path of the folder.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Where it is, as text.
    pub fn text(&self) -> &str {
        self.0.to_str().expect("temporary folders have plain names")
    }

    /// Starts a broker of two workers on it, with a plan of failpoints (see `broker/src/failpoint.rs`).
    pub fn serve_with_failpoints(&self, text: &str, plan: &str) -> Broker {
        Broker::with_failpoints(text, &["--workers", "2", "--data-dir", self.text()], plan)
    }

    /// Stops a broker in good order and starts another one on it, with a configuration that says `text`. An archive in memory ends
    /// with its broker, so over that the same broker continues.
    pub fn restart(&self, mut broker: Broker, text: &str) -> Broker {
        if STEPPED_ARCHIVE {
            return broker;
        }
        broker.terminate();
        assert!(broker.wait().success(), "{}", broker.log());
        self.serve(text)
    }

    /// Starts a broker of two workers on it, with a configuration that says `text`.
    pub fn serve(&self, text: &str) -> Broker {
        Broker::with_file(text, &["--workers", "2", "--data-dir", self.text()])
    }
}

impl Drop for DataDirectory {
    fn drop(&mut self) {
        // Most tests have made it; that one has not is no failure.
        let _never_made = std::fs::remove_dir_all(&self.0);
    }
}

/// A file that holds up a failpoint: `block@FILE` waits, and every other `ACTION@FILE` applies, while it is closed.
/// Dropping it opens it.
pub struct Gate(PathBuf);

impl Gate {
    /// Creates a gate that is closed.
    pub fn closed() -> Self {
        let gate = Self(temporary("gate"));
        gate.close();
        gate
    }

    /// The file, as a plan of failpoints names it.
    pub fn text(&self) -> &str {
        self.0.to_str().expect("temporary folders have plain names")
    }

    /// Closes the gate: makes the file.
    pub fn close(&self) {
        std::fs::write(&self.0, "").expect("a file can be written");
    }

    /// Opens the gate: removes the file.
    pub fn open(&self) {
        // An open gate has no file, and opening it again changes nothing.
        let _was_open = std::fs::remove_file(&self.0);
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.open();
    }
}
