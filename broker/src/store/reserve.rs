//! The reserve: a file that keeps some room on the disk, so that history can still be deleted when the disk is full.
//!
//! Even a deletion needs room in the write-ahead log. When the disk is full the writer releases the reserve, deletes, and
//! accepts publications again only when the reserve is back.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// The name of the file in the data directory.
const NAME: &str = "fanwire.reserve";

/// The size of the file: enough to delete everything from a small database, some pages of the log for each step.
const RESERVE_BYTES: usize = 2 << 20;

#[derive(Debug)]
pub(super) struct Reserve {
    path: PathBuf,
    is_held: bool,
}

impl Reserve {
    /// Creates the state for a directory; nothing is reserved yet.
    pub(super) fn new(directory: &Path) -> Self {
        Self { path: directory.join(NAME), is_held: false }
    }

    /// Whether the room is reserved.
    pub(super) fn is_held(&self) -> bool {
        self.is_held
    }

    /// Whether the file is there, from this run or an earlier one.
    pub(super) fn is_there(&self) -> bool {
        fs::metadata(&self.path).is_ok_and(|file| file.len() == RESERVE_BYTES as u64)
    }

    /// Reserves the room, if it is not reserved.
    pub(super) fn take(&mut self) -> io::Result<()> {
        if !self.is_held && !self.is_there() {
            self.write().inspect_err(|_| drop(fs::remove_file(&self.path)))?;
        }
        self.is_held = true;
        Ok(())
    }

    fn write(&self) -> io::Result<()> {
        let mut options = OpenOptions::new();
        let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(&self.path)?;
        // Zeros would take no room on a file system that compresses.
        let mut block = [0; 64 * 1024];
        for _ in 0..RESERVE_BYTES / block.len() {
            fastrand::fill(&mut block);
            file.write_all(&block)?;
        }
        file.sync_all()
    }

    /// Returns the room to the disk.
    pub(super) fn release(&mut self) {
        // A file that is gone already has given its room back.
        let _is_gone = fs::remove_file(&self.path);
        self.is_held = false;
    }
}
