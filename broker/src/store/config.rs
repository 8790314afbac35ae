//! The bounds of a store.

/// The bounds of a store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StoreConfig {
    /// The maximum number of publications in one commit.
    pub(crate) group_count_max: usize,
    /// The bytes after which a commit takes no further publication.
    pub(crate) group_bytes_max: usize,
    /// The bytes that may wait to be written before publishers are held back; at twice that they are refused.
    pub(crate) queue_bytes_max: usize,
    /// The bytes after which the write-ahead log is moved into the database. Readers can delay that.
    pub(crate) log_bytes_max: u64,
    /// The bytes of the database that the writer keeps in memory.
    pub(crate) cache_bytes: u64,
    /// The maximum size of the database in bytes; `None` leaves it to the disk.
    pub(crate) file_bytes_max: Option<u64>,
}

impl Default for StoreConfig {
    fn default() -> Self {
        Self {
            group_count_max: 4_096,
            group_bytes_max: 4 << 20,
            queue_bytes_max: 64 << 20,
            log_bytes_max: 16 << 20,
            cache_bytes: 16 << 20,
            file_bytes_max: None,
        }
    }
}
