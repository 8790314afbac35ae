//! Idempotency keys: a publish that was accepted already, remembered for [`KEY_TTL_MS`].
//!
//! A key belongs to its publisher: the same key of two publishers means two publications. No key is forgotten before its time. How
//! many may be remembered is decided by the caller, which counts [`KEY_BYTES`] for each. A topic keeps digests, so the length of a key
//! costs no memory.

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::sync::Arc;

use foldhash::fast::RandomState;

use crate::identity::Identity;

/// The time for which a key is remembered, in milliseconds.
pub const KEY_TTL_MS: u64 = 5 * 60 * 1000;

/// The memory accounted for one key: its entries in table and queue, with the room that both keep free.
pub const KEY_BYTES: usize = 144;

/// The publisher that an idempotency key belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyOwner {
    /// The id of a user.
    User(Arc<str>),
    /// A back end with credentials that name no user, known by the number of what vouches for them.
    BackEnd(u64),
    /// A client without credentials, known by its address. Its connection would not do: a client repeats a publish after it has
    /// reconnected.
    Address(IpAddr),
}

impl KeyOwner {
    /// Returns the owner of the keys that `identity` uses from `address`.
    pub fn of(identity: &Identity, address: IpAddr) -> Self {
        match identity {
            Identity::Anonymous => Self::Address(address),
            Identity::Holder(holder) => match &holder.user {
                Some(user) => Self::User(user.clone()),
                None => Self::BackEnd(holder.voucher.map_or(0, |voucher| voucher.key)),
            },
        }
    }
}

/// An idempotency key as a client gave it, and its owner once that is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdempotencyKey {
    text: String,
    owner: Option<KeyOwner>,
}

impl From<String> for IdempotencyKey {
    fn from(text: String) -> Self {
        Self { text, owner: None }
    }
}

impl IdempotencyKey {
    /// Returns the same key of this owner.
    #[must_use]
    pub fn owned_by(self, owner: KeyOwner) -> Self {
        Self { owner: Some(owner), ..self }
    }

    /// Returns whether the owner is a back end, which may have more keys remembered than others.
    pub fn is_of_back_end(&self) -> bool {
        matches!(self.owner, Some(KeyOwner::BackEnd(_)))
    }

    /// Returns the name of the owner, different for any two owners.
    pub fn owner_name(&self) -> String {
        match &self.owner {
            None => String::new(),
            // With the length, no user can have an id that runs on into the key of another.
            Some(KeyOwner::User(user)) => format!("u{}:{user}", user.len()),
            Some(KeyOwner::BackEnd(number)) => format!("k{number:x}:"),
            Some(KeyOwner::Address(address)) => format!("a{address}/"),
        }
    }

    /// Returns owner and key as one text, different for any two keys of any two owners.
    pub fn scoped(&self) -> String {
        self.owner_name() + &self.text
    }
}

/// The digest of an idempotency key, which must be made with a secret seed, so that no publisher can make two keys collide.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct KeyDigest {
    /// The digest of the publisher's name.
    pub publisher: u64,
    /// The digest of publisher and key.
    pub key: u128,
}

/// The idempotency keys of one topic, and the offsets that their first publish was given.
#[derive(Debug, Default)]
pub struct IdempotencyKeys {
    offsets: HashMap<u128, u64, RandomState>,
    /// The keys in the order of their age, oldest first.
    order: VecDeque<Remembered>,
}

/// One key in the order in which they came. Flat, because the padding of a nested digest would cost 16 bytes.
#[derive(Debug)]
struct Remembered {
    /// The time at which it arrived, in milliseconds of the monotonic clock.
    came_ms: u64,
    publisher: u64,
    key: u128,
}

impl IdempotencyKeys {
    /// Returns the offset that the first publish with `key` was given, if the key is remembered. Keys whose time is over must have
    /// been forgotten before by [`IdempotencyKeys::forget_old`].
    pub fn offset_of(&self, key: KeyDigest) -> Option<u64> {
        self.offsets.get(&key.key).copied()
    }

    /// Remembers that the publish with `key` was given `offset`.
    pub fn remember(&mut self, key: KeyDigest, offset: u64, now_ms: u64) {
        let KeyDigest { publisher, key } = key;
        self.offsets.insert(key, offset);
        self.order.push_back(Remembered { came_ms: now_ms, publisher, key });
    }

    /// Forgets one key whose time is over at `now_ms`, and returns it.
    pub fn forget_old(&mut self, now_ms: u64) -> Option<KeyDigest> {
        let is_over = |key: &mut Remembered| key.came_ms.saturating_add(KEY_TTL_MS) <= now_ms;
        let Remembered { publisher, key, .. } = self.order.pop_front_if(is_over)?;
        self.offsets.remove(&key);
        if self.order.len() * 4 < self.order.capacity() {
            self.order.shrink_to(self.order.len() * 2);
            self.offsets.shrink_to(self.order.len() * 2);
        }
        Some(KeyDigest { publisher, key })
    }

    /// Returns the number of keys remembered.
    pub fn len(&self) -> usize {
        self.order.len()
    }

    /// Returns whether no key is remembered.
    pub fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    /// Returns the memory accounted for the keys, in bytes.
    pub fn bytes(&self) -> usize {
        self.len() * KEY_BYTES
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(number: u128) -> KeyDigest {
        KeyDigest { publisher: 1, key: number }
    }

    #[test]
    fn the_same_key_of_two_publishers_is_two_keys() {
        let address = IpAddr::from([192, 0, 2, 1]);
        let key = |owner| IdempotencyKey::from("order-17".to_owned()).owned_by(owner);
        let owners = [
            KeyOwner::of(&Identity::user_named("ann"), address),
            KeyOwner::of(&Identity::user_named("annorder"), address),
            KeyOwner::of(&Identity::Anonymous, address),
            KeyOwner::of(&Identity::Anonymous, IpAddr::from([192, 0, 2, 2])),
            KeyOwner::BackEnd(1),
            KeyOwner::BackEnd(2),
        ];
        let mut scoped: Vec<String> = owners.into_iter().map(|owner| key(owner).scoped()).collect();
        scoped.push(
            IdempotencyKey::from("orderorder-17".to_owned()).owned_by(KeyOwner::User("ann".into())).scoped(),
        );
        let count = scoped.len();
        scoped.sort();
        scoped.dedup();
        assert_eq!(scoped.len(), count, "{scoped:?}");
    }

    #[test]
    fn a_key_is_remembered_for_its_time_and_no_longer() {
        let mut keys = IdempotencyKeys::default();
        keys.remember(key(7), 1, 0);
        assert_eq!((keys.offset_of(key(7)), keys.offset_of(key(8))), (Some(1), None));
        assert_eq!(keys.forget_old(KEY_TTL_MS - 1), None);
        assert_eq!(keys.offset_of(key(7)), Some(1));
        assert_eq!(keys.forget_old(KEY_TTL_MS), Some(key(7)));
        assert!(keys.is_empty());
    }

    #[test]
    fn no_key_is_forgotten_early_and_their_memory_is_given_back() {
        let mut keys = IdempotencyKeys::default();
        for number in 0..100_000 {
            keys.remember(key(number), number as u64, number as u64 / 1000);
        }
        assert_eq!(keys.forget_old(KEY_TTL_MS - 1), None);
        assert_eq!(keys.offset_of(key(0)), Some(0));
        assert_eq!(keys.bytes(), 100_000 * KEY_BYTES);
        while keys.forget_old(KEY_TTL_MS + 98).is_some() {}
        assert_eq!((keys.len(), keys.offset_of(key(99_999))), (1_000, Some(99_999)));
        assert!(keys.order.capacity() <= 4_000 && keys.offsets.capacity() <= 4_000);
    }

    #[test]
    fn what_is_accounted_for_a_key_is_not_less_than_what_it_takes() {
        let mut keys = IdempotencyKeys::default();
        for number in 0..10_000 {
            keys.remember(key(number), 1, 0);
            let taken = keys.order.capacity() * size_of::<Remembered>()
                + keys.offsets.capacity() * 8 / 7 * (size_of::<(u128, u64)>() + 1);
            assert!(number < 100 || taken <= keys.bytes(), "{taken} for {number}");
        }
    }
}
