//! Idempotency keys: which publish was accepted already, remembered for a while.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use fanwire_protocol::Position;
use foldhash::fast::RandomState;

/// How long a key is remembered, in milliseconds.
pub const KEY_TTL_MS: u64 = 5 * 60 * 1000;

/// How many keys one topic remembers. The oldest goes first: a publisher that repeats a publish does so soon.
pub const KEYS_MAX: usize = 10_000;

/// The idempotency keys of one topic and the positions their first publish was given.
#[derive(Debug, Default)]
pub struct IdempotencyKeys {
    positions: HashMap<Arc<str>, Position, RandomState>,
    /// When each key came, oldest first, in milliseconds of the monotonic clock.
    order: VecDeque<(u64, Arc<str>)>,
}

impl IdempotencyKeys {
    /// The position that the first publish with `key` was given, if it is still remembered.
    pub fn position_of(&mut self, key: &str, now_ms: u64) -> Option<Position> {
        self.forget_old(now_ms);
        self.positions.get(key).copied()
    }

    /// Remembers that the publish with `key` was given `position`.
    pub fn remember(&mut self, key: &str, position: Position, now_ms: u64) {
        self.forget_old(now_ms);
        if self.order.len() >= KEYS_MAX {
            self.forget_oldest();
        }
        let key: Arc<str> = Arc::from(key);
        self.positions.insert(key.clone(), position);
        self.order.push_back((now_ms, key));
    }

    /// Whether no key is remembered any more.
    pub fn is_empty(&mut self, now_ms: u64) -> bool {
        self.forget_old(now_ms);
        self.order.is_empty()
    }

    fn forget_old(&mut self, now_ms: u64) {
        while self.order.front().is_some_and(|(came_ms, _)| came_ms + KEY_TTL_MS <= now_ms) {
            self.forget_oldest();
        }
    }

    fn forget_oldest(&mut self) {
        if let Some((_, key)) = self.order.pop_front() {
            self.positions.remove(&key);
        }
    }
}

#[cfg(test)]
mod tests {
    use fanwire_protocol::Epoch;

    use super::*;

    fn at(offset: u64) -> Position {
        Position { epoch: Epoch::from_random(1), offset }
    }

    #[test]
    fn a_key_is_remembered_for_its_time_and_no_longer() {
        let mut keys = IdempotencyKeys::default();
        keys.remember("a", at(1), 0);
        assert_eq!(keys.position_of("a", KEY_TTL_MS - 1), Some(at(1)));
        assert_eq!(keys.position_of("b", 0), None);
        assert_eq!(keys.position_of("a", KEY_TTL_MS), None);
        assert!(keys.is_empty(KEY_TTL_MS));
    }

    #[test]
    fn the_number_of_keys_is_bounded() {
        let mut keys = IdempotencyKeys::default();
        for number in 0..=KEYS_MAX as u64 {
            keys.remember(&number.to_string(), at(number), 0);
        }
        assert_eq!(keys.position_of("0", 0), None);
        assert_eq!(keys.position_of("1", 0), Some(at(1)));
        assert_eq!(keys.order.len(), KEYS_MAX);
    }
}
