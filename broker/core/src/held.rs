//! The memory that publications and their encoded frames take up, each counted once, however many sessions refer to it.
//!
//! A publication, and every chunk of encoded frames, holds a share of one sum until the last reference to it is dropped. So the
//! sum also covers what history has dropped while a slow session still refers to it. This file does not know any bound.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;

/// The unused capacity that a chunk may keep, in bytes, beside a quarter of its length.
const SLACK_BYTES: usize = 1024;

/// The sum of all shares, in bytes. Copies refer to the same sum.
///
/// A process has one for its whole life, so its eight bytes are never freed, and a share costs no count of references: it would be
/// one more write that all workers do in the same place.
#[derive(Clone, Copy)]
pub struct HeldSum(&'static AtomicU64);

/// A part of a [`HeldSum`] that counts until it is dropped.
pub struct HeldShare {
    sum: HeldSum,
    bytes: u64,
}

impl Default for HeldSum {
    fn default() -> Self {
        Self(Box::leak(Box::new(AtomicU64::new(0))))
    }
}

impl HeldSum {
    /// Returns the sum of all shares, in bytes.
    pub fn bytes(self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    /// Counts `bytes` until the share is dropped.
    pub fn share(self, bytes: usize) -> HeldShare {
        let bytes = bytes as u64;
        self.0.fetch_add(bytes, Ordering::Relaxed);
        HeldShare { sum: self, bytes }
    }

    /// Makes shareable bytes of `encoded`. The memory counts until the last clone or slice of them is dropped.
    pub fn bytes_of(self, mut encoded: Vec<u8>) -> Bytes {
        if encoded.is_empty() {
            return Bytes::new();
        }
        if encoded.capacity() - encoded.len() > encoded.len() / 4 + SLACK_BYTES {
            encoded.shrink_to_fit();
        }
        let share = self.share(encoded.capacity());
        Bytes::from_owner(Encoded { encoded, _share: share })
    }
}

impl HeldShare {
    /// Returns the sum that the share is a part of.
    pub fn sum(&self) -> HeldSum {
        self.sum
    }
}

impl Drop for HeldShare {
    fn drop(&mut self) {
        self.sum.0.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

impl fmt::Debug for HeldSum {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "HeldSum({})", self.bytes())
    }
}

impl fmt::Debug for HeldShare {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "HeldShare({})", self.bytes)
    }
}

/// Encoded bytes with their share, as the owner behind [`Bytes`].
struct Encoded {
    encoded: Vec<u8>,
    _share: HeldShare,
}

impl AsRef<[u8]> for Encoded {
    fn as_ref(&self) -> &[u8] {
        &self.encoded
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chunk_counts_once_until_its_last_reference_is_dropped() {
        let sum = HeldSum::default();
        let chunk = sum.bytes_of(b"0123456789".to_vec());
        let (clone, part) = (chunk.clone(), chunk.slice(2..4));
        assert_eq!((sum.bytes(), &part[..]), (10, &b"23"[..]));
        drop((chunk, clone));
        assert_eq!(sum.bytes(), 10, "a part keeps the whole in memory");
        drop(part);
        assert_eq!(sum.bytes(), 0);
    }

    #[test]
    fn unused_capacity_is_given_back_and_what_is_left_of_it_counts() {
        let sum = HeldSum::default();
        let mut encoded = Vec::with_capacity(1_000_000);
        encoded.resize(10_000, b'x');
        let chunk = sum.bytes_of(encoded);
        assert!((10_000..=10_000 + 10_000 / 4 + 1024).contains(&(sum.bytes() as usize)));
        drop(chunk);
    }
}
