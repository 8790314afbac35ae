//! A data directory of one test.

use std::path::{Path, PathBuf};

use crate::{Broker, temporary};

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

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Where it is, as text.
    pub fn text(&self) -> &str {
        self.0.to_str().expect("temporary folders have plain names")
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
