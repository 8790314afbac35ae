//! The publications a log holds, oldest first, in the little memory that most topics need: of a million topics nearly all
//! hold one publication or none. This file does not know when a publication must be dropped.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::publication::Publication;

/// The number of publications there is room for when a second one is added.
const ROOM: usize = 4;

/// Publications in the order of their offsets.
#[derive(Debug)]
pub(super) enum Entries {
    /// One or none, in place.
    Few(Option<Arc<Publication>>),
    /// Any number of publications.
    #[expect(
        clippy::box_collection,
        reason = "the queue's four words would be in every topic that does not need them"
    )]
    Many(Box<VecDeque<Arc<Publication>>>),
}

impl Entries {
    /// Returns the number of publications.
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Few(one) => usize::from(one.is_some()),
            Self::Many(entries) => entries.len(),
        }
    }

    /// Returns the oldest publication.
    pub(super) fn front(&self) -> Option<&Arc<Publication>> {
        match self {
            Self::Few(one) => one.as_ref(),
            Self::Many(entries) => entries.front(),
        }
    }

    /// Adds the newest publication.
    pub(super) fn push_back(&mut self, publication: Arc<Publication>) {
        match self {
            Self::Few(one) => {
                if let Some(older) = one.take() {
                    let mut entries = VecDeque::with_capacity(ROOM);
                    entries.extend([older, publication]);
                    *self = Self::Many(Box::new(entries));
                } else {
                    *one = Some(publication);
                }
            }
            Self::Many(entries) => entries.push_back(publication),
        }
    }

    /// Takes the oldest out.
    pub(super) fn pop_front(&mut self) -> Option<Arc<Publication>> {
        match self {
            Self::Few(one) => one.take(),
            Self::Many(entries) => entries.pop_front(),
        }
    }

    /// Returns memory to the allocator that is no longer needed. A burst must not pin its high-water mark for ever; a
    /// quarter in use is the usual point to shrink.
    pub(super) fn give_back(&mut self) {
        let Self::Many(entries) = self else { return };
        if entries.len() <= 1 {
            *self = Self::Few(entries.pop_front());
        } else if entries.capacity() > 16 && entries.len() * 4 < entries.capacity() {
            entries.shrink_to(entries.len() * 2);
        }
    }

    /// Returns those from index `start` up to, not including, `end`, which must not be before it nor beyond the last.
    pub(super) fn range(
        &self,
        start: usize,
        end: usize,
    ) -> impl DoubleEndedIterator<Item = &Arc<Publication>> {
        let (first, second) = match self {
            Self::Few(one) => (one.as_slice(), &[][..]),
            Self::Many(entries) => entries.as_slices(),
        };
        let in_first = first[start.min(first.len())..end.min(first.len())].iter();
        let in_second = &second[start.saturating_sub(first.len())..end.saturating_sub(first.len())];
        in_first.chain(in_second)
    }

    /// Returns the index of the first for which `is_before` does not hold; it holds for all before that and none after.
    pub(super) fn partition_point(&self, is_before: impl Fn(&Publication) -> bool) -> usize {
        match self {
            Self::Few(one) => usize::from(one.as_ref().is_some_and(|publication| is_before(publication))),
            Self::Many(entries) => entries.partition_point(|publication| is_before(publication)),
        }
    }
}

#[cfg(test)]
mod tests {
    use fanwire_protocol::{Message, Payload};
    use proptest::prelude::*;

    use super::*;

    fn publication(offset: u64) -> Arc<Publication> {
        let topic = "a".parse().unwrap();
        let message = Message { topic, payload: Payload::text(""), position: None, ts: None, from: None };
        Arc::new(Publication::new(message, offset, 0, &crate::held::HeldSum::default()))
    }

    proptest! {
        #[test]
        fn entries_are_a_queue(steps in prop::collection::vec(0u8..4, 1..200)) {
            let mut entries = Entries::Few(None);
            let mut model: VecDeque<u64> = VecDeque::new();
            for (step, offset) in steps.into_iter().zip(1..) {
                match step {
                    0 | 1 => {
                        entries.push_back(publication(offset));
                        model.push_back(offset);
                    }
                    2 => prop_assert_eq!(entries.pop_front().map(|oldest| oldest.offset), model.pop_front()),
                    _ => entries.give_back(),
                }
                let offsets = |start, end| entries.range(start, end).map(|entry| entry.offset).collect::<Vec<_>>();
                prop_assert_eq!(entries.len(), model.len());
                prop_assert_eq!(entries.front().map(|oldest| oldest.offset), model.front().copied());
                for start in 0..=model.len().min(3) {
                    let expected: Vec<u64> = model.range(start..).copied().collect();
                    prop_assert_eq!(offsets(start, model.len()), expected);
                }
                let middle = offset / 2;
                let point = entries.partition_point(|entry| entry.offset <= middle);
                prop_assert_eq!(point, model.partition_point(|known| *known <= middle));
                prop_assert_eq!(offsets(0, point), model.range(..point).copied().collect::<Vec<_>>());
            }
        }
    }

    #[test]
    fn one_publication_takes_no_queue() {
        assert!(size_of::<Entries>() <= 16);
        let mut entries = Entries::Few(None);
        for offset in 0..100 {
            entries.push_back(publication(offset));
        }
        assert!(matches!(entries, Entries::Many(_)));
        for _ in 0..99 {
            entries.pop_front();
        }
        entries.give_back();
        assert!(matches!(entries, Entries::Few(Some(_))));
    }
}
