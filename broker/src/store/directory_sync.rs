//! Syncing a directory, so that files that were made, renamed or removed in it stay so after a crash.

use std::fs::File;
use std::io;
use std::path::Path;

/// Syncs the entries of `directory`.
pub(super) fn sync_directory(directory: &Path) -> io::Result<()> {
    match File::open(directory)?.sync_all() {
        // Some file systems cannot sync a directory; they keep its entries by other means.
        Err(error) if error.kind() == io::ErrorKind::InvalidInput => Ok(()),
        synced => synced,
    }
}
