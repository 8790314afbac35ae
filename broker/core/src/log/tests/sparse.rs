//! Offsets that an archive gives: they grow, and need not be consecutive.

use proptest::prelude::{prop, proptest};

use super::{
    Epoch, HistoryLimits, LIMITS, Payload, Placed, Position, Publish, Topic, TopicLog, at, check_since, log,
    offsets,
};
use crate::held::HeldSum;

/// A log beside the plain list of everything that was published.
struct Model {
    log: TopicLog,
    /// The offset of every publication, delivered to the log or not.
    published: Vec<u64>,
    /// The offsets the log must hold.
    held: Vec<u64>,
}

impl Model {
    fn new() -> Self {
        Self { log: log(), published: Vec::new(), held: Vec::new() }
    }

    fn newest(&self) -> u64 {
        self.published.last().copied().unwrap_or(0)
    }

    fn place(&mut self, offset: u64, after: u64, limits: &HistoryLimits) {
        let topic: Topic = "t".parse().unwrap();
        let payload = Payload::text("x");
        let publish = Publish { topic: topic.clone(), payload, key: None, from: None, except: None };
        let position = Position { epoch: Epoch::from_random(9), offset };
        if after > self.log.head().offset {
            self.held.clear();
        }
        self.log.append_placed(
            publish,
            &topic,
            Placed { position, after, ts: offset },
            limits,
            0,
            &HeldSum::default(),
        );
        self.published.push(offset);
        self.held.push(offset);
        self.held.drain(..self.held.len().saturating_sub(limits.messages));
    }

    fn check(&self, ask: u64, limit: usize) {
        let lost = |from: u64, to: u64| {
            self.published.iter().any(|offset| (from + 1..to).contains(offset) && !self.held.contains(offset))
        };
        let after: Vec<u64> = self.held.iter().copied().filter(|offset| *offset > ask).collect();
        let before: Vec<u64> = self.held.iter().copied().filter(|offset| *offset < ask).rev().collect();
        let recovered = ask <= self.log.head().offset && !lost(ask, u64::MAX);
        let missed = self.log.since(at(ask));
        assert_eq!(missed.recovered, recovered, "{ask} of {:?}", self.published);
        let expected = if recovered { &after } else { &self.held };
        assert_eq!(offsets(&missed.publications), *expected);
        let page = self.log.page_forward(at(ask), limit);
        assert_eq!(offsets(&page.publications), expected[..limit.min(expected.len())]);
        assert_eq!((page.gap, page.more), (!recovered, expected.len() > limit));
        let page = self.log.page_backward(at(ask), limit);
        assert_eq!(offsets(&page.publications), before[..limit.min(before.len())]);
        assert_eq!(page.more, before.len() > limit);
        let is_lost = self.published.contains(&ask) && !self.held.contains(&ask);
        assert!(page.gap || !is_lost || ask == 1, "the page before {ask} does not follow on what is held");
        assert!(!page.gap || before.is_empty(), "no page that holds something has a gap");
        let newest = limit.min(self.held.len());
        assert_eq!(offsets(&self.log.last(limit)), self.held[self.held.len() - newest..]);
    }
}

#[test]
fn offsets_in_steps_of_seven_all_stay_held() {
    let mut model = Model::new();
    let limits = HistoryLimits { messages: 100, ..LIMITS };
    for offset in [1, 8, 15, 22, 29] {
        model.place(offset, model.newest(), &limits);
    }
    check_since(&model.log, at(0), &[1, 8, 15, 22, 29], true);
    check_since(&model.log, at(10), &[15, 22, 29], true);
    check_since(&model.log, at(30), &[1, 8, 15, 22, 29], false);
    model.place(43, 36, &limits);
    check_since(&model.log, at(36), &[43], true);
    check_since(&model.log, at(35), &[43], false);
}

#[test]
fn a_log_that_keeps_nothing_reports_every_loss_and_gives_no_positions() {
    let mut log = log();
    let topic: Topic = "t".parse().unwrap();
    let mut place = |offset, after, limits: &HistoryLimits| {
        let payload = Payload::text("x");
        let publish = Publish { topic: topic.clone(), payload, key: None, from: None, except: None };
        let position = Position { epoch: Epoch::from_random(9), offset };
        let publication = log.append_placed(
            publish,
            &topic,
            Placed { position, after, ts: 1 },
            limits,
            0,
            &HeldSum::default(),
        );
        (publication.message.position, publication.message.ts, log.since(at(after)).recovered, log.len())
    };
    place(7, 0, &LIMITS);
    assert_eq!(
        place(14, 7, &HistoryLimits::OFF),
        (None, None, false, 0),
        "what was held before is dropped too"
    );
    assert_eq!(place(21, 14, &HistoryLimits::OFF), (None, None, false, 0));
    let held = Position { epoch: Epoch::from_random(9), offset: 28 };
    assert_eq!(place(28, 21, &LIMITS), (Some(held), Some(1), true, 1));
}

proptest! {
    /// Sparse offsets, with publications that never arrive, against filtering plain lists.
    #[test]
    fn a_log_of_sparse_offsets_behaves_like_a_filtered_list(
        steps in prop::collection::vec((0u8..10, 1u64..9, 0u64..9), 1..40),
        starts in prop::collection::vec(0u64..200, 8), limit in 1usize..5,
    ) {
        let mut model = Model::new();
        let limits = HistoryLimits { messages: 5, ..LIMITS };
        for (step, stride, slack) in steps {
            let newest = model.newest();
            match step {
                0 => {
                    model.log.clear();
                    model.held.clear();
                }
                // A publication that does not arrive, and the next one, whose `after` shows it.
                1 => {
                    model.published.push(newest + stride);
                    model.place(newest + 2 * stride, newest + stride, &limits);
                }
                // An archive that does not know the publication right before it, but that none is missing.
                2 => model.place(newest + stride, newest.saturating_sub(slack), &limits),
                _ => model.place(newest + stride, newest, &limits),
            }
            for ask in &starts {
                model.check(*ask, limit);
            }
        }
    }
}
