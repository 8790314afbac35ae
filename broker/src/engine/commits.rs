//! The publications of one topic that are on their way to the archive, and the receipts that wait for them.
//!
//! A receipt promises that readers on this broker find the publication, and that it stands before whatever its publisher does next.
//! An archive may send the receipt before the publication has arrived; such a receipt waits here. Arrivals of other brokers'
//! publications pass through too. This file does not know how a publication is held or delivered.

use fanwire_protocol::{Position, Topic};

use super::receipt::{Accepted, OwedReceipt};

/// The publications of a topic on their way to the archive. At most as many receipts wait as publications are in the archive's queue.
#[derive(Debug, Default)]
pub(super) struct Commits {
    pending: u32,
    /// The newest position that has arrived while something was on its way.
    arrived: Option<Position>,
    waiting: Vec<Committed>,
}

/// A publication that the archive has accepted, whose receipt was not sent yet.
#[derive(Debug)]
pub(super) struct Committed {
    /// The position of the publication.
    pub(super) position: Position,
    /// Whether it had been accepted before, under the same idempotency key.
    pub(super) is_duplicate: bool,
    /// The destination of the receipt.
    pub(super) receipt: OwedReceipt,
}

impl Committed {
    /// Sends the receipt, not under the topic's lock. The publication is to `topic`, which has so many `subscribers`.
    pub(super) fn send(self, topic: &Topic, subscribers: u64) {
        let Self { position, is_duplicate, receipt } = self;
        receipt.send(topic.clone(), Ok(Accepted { position, is_duplicate, subscribers }));
    }
}

impl Commits {
    /// Counts a publication on its way to the archive.
    pub(super) fn begin(&mut self) {
        self.pending += 1;
    }

    /// Counts a publication that the archive has refused.
    pub(super) fn refused(&mut self) {
        self.end(1);
    }

    /// Takes a receipt from the archive, and returns it if it can be sent. If the publication has yet to arrive, the receipt waits for
    /// it. Nothing arrives again for a duplicate.
    pub(super) fn committed(&mut self, committed: Committed) -> Option<Committed> {
        if !committed.is_duplicate && self.is_to_arrive(committed.position) {
            self.waiting.push(committed);
            return None;
        }
        self.end(1);
        Some(committed)
    }

    /// Takes note that what was published at `position` has arrived, and returns the receipts that waited for it.
    pub(super) fn arrived(&mut self, position: Position) -> Vec<Committed> {
        if self.pending == 0 {
            return Vec::new();
        }
        self.arrived = Some(position);
        let has_arrived = |waiting: &mut Committed| waiting.position.is_after(position) == Some(false);
        let due: Vec<_> = self.waiting.extract_if(.., has_arrived).collect();
        self.end(due.len());
        due
    }

    /// Returns whether nothing is on its way.
    pub(super) fn is_idle(&self) -> bool {
        self.pending == 0
    }

    fn end(&mut self, count: usize) {
        self.pending = self.pending.saturating_sub(count as u32);
        if self.pending == 0 {
            self.arrived = None;
        }
    }

    /// Arrivals come in the order of the positions. Once something of another epoch has arrived, the order of the two epochs is not
    /// known, and no receipt may wait for ever.
    fn is_to_arrive(&self, position: Position) -> bool {
        self.arrived.is_none_or(|arrived| position.is_after(arrived) == Some(true))
    }
}

#[cfg(test)]
mod tests {
    use fanwire_protocol::Epoch;

    use super::*;
    use crate::engine::receipt::ReceiptTo;

    fn committed(offset: u64) -> Committed {
        let receipt = ReceiptTo::waiter().0.reserve();
        Committed { position: at(offset), is_duplicate: false, receipt }
    }

    fn at(offset: u64) -> Position {
        Position { epoch: Epoch::from_random(3), offset }
    }

    fn offsets(due: &[Committed]) -> Vec<u64> {
        due.iter().map(|committed| committed.position.offset).collect()
    }

    #[test]
    fn a_receipt_waits_until_its_publication_has_arrived() {
        let mut commits = Commits::default();
        (0..3).for_each(|_| commits.begin());
        assert!(commits.committed(committed(14)).is_none());
        assert!(commits.committed(committed(28)).is_none());
        assert_eq!(offsets(&commits.arrived(at(7))), [0; 0], "another broker's");
        assert_eq!(offsets(&commits.arrived(at(14))), [14]);
        assert_eq!(offsets(&commits.arrived(at(28))), [28]);
        assert!(!commits.is_idle());
        assert!(commits.arrived(at(35)).is_empty());
        assert!(commits.committed(committed(35)).is_some(), "it has arrived before its receipt");
        assert!(commits.is_idle());
    }

    #[test]
    fn nothing_waits_for_what_does_not_arrive_again() {
        let mut commits = Commits::default();
        (0..4).for_each(|_| commits.begin());
        assert!(commits.committed(Committed { is_duplicate: true, ..committed(14) }).is_some());
        commits.refused();
        commits.arrived(Position { epoch: Epoch::from_random(4), offset: 7 });
        assert!(commits.committed(committed(14)).is_some(), "the topic has begun again meanwhile");
        commits.refused();
        assert!(commits.is_idle());
        commits.begin();
        assert!(
            commits.committed(committed(21)).is_none(),
            "what arrived while nothing was on its way is forgotten"
        );
    }
}
