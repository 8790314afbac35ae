//! Paths for temporary files.

use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Returns a path in the folder for temporary files that no other test has.
pub fn temporary(suffix: &str) -> PathBuf {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    let number = COUNT.fetch_add(1, Ordering::Relaxed);
    std::env::temp_dir().join(format!("fanwire-{}-{number}.{suffix}", std::process::id()))
}
