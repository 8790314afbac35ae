//! The memory that clients can make the engine hold, counted in one place under one cap, `history.bytes_max`.
//!
//! | kind | its own bound | beyond it |
//! | --- | --- | --- |
//! | history | the cap, shared with the others | the topics longest unused lose theirs |
//! | idempotency keys | half of the cap; a sixteenth for one user or address | the publish is refused |
//! | members of presence | a quarter of the cap | the subscription is refused |
//! | what sessions and answers pin | half of the cap, see `hub/pinned.rs` | the session longest behind is closed |
//! | the catalog shown to operators | one at a time, for 15 s | history makes room |
//!
//! Every change of a topic is counted when its lock is released. This file does not know topics, only sums.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use fanwire_core::access::Refusal;
use fanwire_core::held::HeldSum;
use fanwire_core::keys::{IdempotencyKey, KEY_BYTES, KeyDigest};
use fanwire_protocol::ErrorCode;
use foldhash::fast::FixedState;
use tokio::sync::Notify;

use crate::telemetry::Shared;

/// The memory that one topic holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Held {
    /// The bytes of its publications.
    pub(super) bytes: usize,
    /// The number of its publications.
    pub(super) publications: usize,
    /// The bytes of its idempotency keys.
    pub(super) key_bytes: usize,
    /// The bytes of its members.
    pub(super) presence_bytes: usize,
}

/// The sums of all topics, and the cap.
pub(super) struct Memory {
    bytes_max: u64,
    counters: Arc<Shared>,
    /// Signalled when the sum is over the cap.
    over: Notify,
    /// The secret seeds of the digests of keys.
    seeds: [RandomState; 2],
    /// The number of keys remembered for each owner, by the digest of its name.
    keys_by_owner: Mutex<HashMap<u64, u32, FixedState>>,
}

impl Memory {
    /// Counts into `counters`, under a cap of `bytes_max` bytes.
    pub(super) fn new(bytes_max: u64, counters: Arc<Shared>) -> Self {
        let seeds = [RandomState::new(), RandomState::new()];
        Self { bytes_max, counters, over: Notify::new(), seeds, keys_by_owner: Mutex::default() }
    }

    /// Counts a topic that held `before` and holds `after` now.
    pub(super) fn settle(&self, before: Held, after: Held) {
        if before == after {
            return;
        }
        let counters = &self.counters;
        change(&counters.history_bytes, before.bytes, after.bytes);
        change(&counters.history_publications, before.publications, after.publications);
        change(&counters.key_bytes, before.key_bytes, after.key_bytes);
        change(&counters.presence_bytes, before.presence_bytes, after.presence_bytes);
    }

    /// Returns the sum of everything counted, in bytes.
    pub(super) fn bytes(&self) -> u64 {
        let counters = &self.counters;
        let all =
            [&counters.history_bytes, &counters.key_bytes, &counters.presence_bytes, &counters.catalog_bytes];
        all.into_iter().map(|bytes| bytes.load(Ordering::Relaxed)).sum::<u64>() + counters.pinned_bytes()
    }

    /// Returns the sum in which publications count until the last reference to them is dropped.
    pub(super) fn held(&self) -> &HeldSum {
        &self.counters.held
    }

    /// Returns whether the sum is over the cap. If so, [`Memory::outgrown`] returns.
    pub(super) fn is_over(&self) -> bool {
        let is_over = self.bytes() > self.bytes_max;
        if is_over {
            self.over.notify_one();
        }
        is_over
    }

    /// Returns whether the sum is over the cap by more than an eighth, so that publishers must drop history themselves.
    pub(super) fn is_far_over(&self) -> bool {
        self.bytes() > self.bytes_max + self.bytes_max / 8
    }

    /// Returns whether the sum is below the cap by an eighth, so that dropping history can end.
    pub(super) fn has_room(&self) -> bool {
        self.bytes() <= self.bytes_max - self.bytes_max / 8
    }

    /// Waits until the sum is over the cap.
    pub(super) async fn outgrown(&self) {
        self.over.notified().await;
    }

    /// Returns the digest under which a key is remembered.
    pub(super) fn digest(&self, key: &IdempotencyKey) -> KeyDigest {
        let scoped = key.scoped();
        let [first, second] = self.seeds.each_ref().map(|seed| seed.hash_one(&scoped));
        let publisher = self.seeds[0].hash_one(key.owner_name());
        KeyDigest { publisher, key: u128::from(first) << 64 | u128::from(second) }
    }

    /// Makes room for one more key of its owner.
    ///
    /// # Errors
    /// If all keys, or those of the owner, take as much memory as they may. No key is forgotten before its time for another.
    pub(super) fn reserve_key(&self, key: &IdempotencyKey, digest: KeyDigest) -> Result<(), Refusal> {
        let bytes = self.counters.key_bytes.load(Ordering::Relaxed);
        if bytes.saturating_add(KEY_BYTES as u64) > self.bytes_max / 2 {
            self.counters.keys_refused.fetch_add(1, Ordering::Relaxed);
            return Err(Refusal {
                code: ErrorCode::Unavailable,
                message: "the memory for idempotency keys is full (half of 'history.bytes_max'): publish again in a \
                          moment, or without a key"
                    .to_owned(),
            });
        }
        let keys_max = self.keys_of_one_max();
        let mut keys = self.keys_by_owner.lock().unwrap_or_else(PoisonError::into_inner);
        let count = keys.entry(digest.publisher).or_default();
        if u64::from(*count) >= keys_max && !key.is_of_back_end() {
            drop(keys);
            self.counters.keys_refused.fetch_add(1, Ordering::Relaxed);
            return Err(Refusal {
                code: ErrorCode::LimitExceeded,
                message: format!(
                    "{keys_max} idempotency keys of this publisher are remembered, which is the maximum; each is for \
                     5 minutes: publish again later, or without a key"
                ),
            });
        }
        *count += 1;
        Ok(())
    }

    /// Returns the maximum number of keys of one user or address.
    fn keys_of_one_max(&self) -> u64 {
        (self.bytes_max / 16 / KEY_BYTES as u64).max(1)
    }

    /// Releases the memory of a key that was forgotten.
    pub(super) fn release_key(&self, digest: KeyDigest) {
        let mut keys = self.keys_by_owner.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = keys.get_mut(&digest.publisher) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                keys.remove(&digest.publisher);
            }
        }
        if keys.len() * 4 < keys.capacity() {
            let room = keys.len() * 2;
            keys.shrink_to(room);
        }
    }

    /// Checks that there is room for another member.
    ///
    /// # Errors
    /// If the members of all topics take as much memory as they may.
    pub(super) fn check_presence(&self) -> Result<(), Refusal> {
        if self.counters.presence_bytes.load(Ordering::Relaxed) <= self.bytes_max / 4 {
            return Ok(());
        }
        self.counters.presence_refused.fetch_add(1, Ordering::Relaxed);
        Err(Refusal {
            code: ErrorCode::LimitExceeded,
            message:
                "the memory for members of topics with presence is full (a quarter of 'history.bytes_max'): \
                      subscribe again later"
                    .to_owned(),
        })
    }

    /// Counts a catalog of this size until the share is dropped.
    pub(super) fn share_of_catalog(&self, bytes: usize) -> CatalogShare {
        self.counters.catalog_bytes.fetch_add(bytes as u64, Ordering::Relaxed);
        CatalogShare { bytes: bytes as u64, counters: self.counters.clone() }
    }
}

fn change(sum: &AtomicU64, before: usize, after: usize) {
    if before != after {
        // Growth and shrinkage are one wrapping addition, so that the sum is right in any order.
        sum.fetch_add((after as u64).wrapping_sub(before as u64), Ordering::Relaxed);
    }
}

/// The memory of one catalog. Dropping it ends the accounting.
#[derive(Debug)]
pub(super) struct CatalogShare {
    bytes: u64,
    counters: Arc<Shared>,
}

impl Drop for CatalogShare {
    fn drop(&mut self) {
        self.counters.catalog_bytes.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use fanwire_core::keys::KeyOwner;

    use super::*;

    fn memory(bytes_max: u64) -> Memory {
        Memory::new(bytes_max, Arc::default())
    }

    fn key(owner: KeyOwner, text: &str) -> IdempotencyKey {
        IdempotencyKey::from(text.to_owned()).owned_by(owner)
    }

    fn ann() -> KeyOwner {
        KeyOwner::User("ann".into())
    }

    #[test]
    fn the_sum_follows_every_topic_whatever_it_holds() {
        let memory = memory(1000);
        let one = Held { bytes: 600, publications: 2, key_bytes: 300, presence_bytes: 50 };
        memory.settle(Held::default(), one);
        assert_eq!((memory.bytes(), memory.is_over()), (950, false));
        let share = memory.share_of_catalog(60);
        assert!(memory.is_over() && !memory.is_far_over());
        drop(share);
        memory.settle(one, Held { bytes: 500, ..one });
        assert!(memory.has_room());
        memory.settle(Held { bytes: 500, ..one }, Held::default());
        assert_eq!(memory.bytes(), 0);
    }

    #[test]
    fn one_publisher_cannot_take_the_room_of_all_keys() {
        let memory = memory(160 * KEY_BYTES as u64);
        let reserve = |key: &IdempotencyKey| memory.reserve_key(key, memory.digest(key));
        let keys: Vec<_> = (0..11).map(|number| key(ann(), &number.to_string())).collect();
        assert!(keys[..10].iter().all(|key| reserve(key).is_ok()));
        assert_eq!(reserve(&keys[10]).unwrap_err().code, ErrorCode::LimitExceeded);
        assert!(reserve(&key(KeyOwner::User("bob".into()), "0")).is_ok());
        let back_end: Vec<_> = (0..20).map(|number| key(KeyOwner::BackEnd(7), &number.to_string())).collect();
        assert!(back_end.iter().all(|key| reserve(key).is_ok()));
        memory.release_key(memory.digest(&keys[0]));
        assert!(reserve(&keys[10]).is_ok());
        memory.settle(Held::default(), Held { key_bytes: 80 * KEY_BYTES, ..Held::default() });
        assert_eq!(reserve(&back_end[0]).unwrap_err().code, ErrorCode::Unavailable);
        assert_eq!(memory.counters.keys_refused.load(Ordering::Relaxed), 2);
    }

    #[test]
    fn members_are_refused_when_their_memory_is_full() {
        let memory = memory(1000);
        assert!(memory.check_presence().is_ok());
        memory.settle(Held::default(), Held { presence_bytes: 251, ..Held::default() });
        assert_eq!(memory.check_presence().unwrap_err().code, ErrorCode::LimitExceeded);
    }
}
