//! The log against what it promises, and against plain lists.

use fanwire_protocol::Payload;
use proptest::prelude::{any, prop, proptest};

use super::*;

mod sparse;

const LIMITS: HistoryLimits = HistoryLimits { messages: 3, bytes: usize::MAX, ttl_ms: 1_000 };

fn log() -> TopicLog {
    TopicLog::new(Epoch::from_random(9), 0)
}

fn append(log: &mut TopicLog, limits: &HistoryLimits, now_ms: u64) -> Arc<Publication> {
    append_at(log, limits, now_ms, now_ms)
}

fn append_at(log: &mut TopicLog, limits: &HistoryLimits, ts: u64, now_ms: u64) -> Arc<Publication> {
    let topic: Topic = "t".parse().unwrap();
    let publish =
        Publish { topic: topic.clone(), payload: Payload::text("x"), key: None, from: None, except: None };
    log.append(publish, &topic, limits, ts, now_ms * 1000, &HeldSum::default())
}

fn offsets(publications: &[Arc<Publication>]) -> Vec<u64> {
    publications.iter().map(|publication| publication.offset).collect()
}

fn at(offset: u64) -> StartPoint {
    StartPoint::After(Position { epoch: Epoch::from_random(9), offset })
}

fn check_since(log: &TopicLog, since: StartPoint, expected: &[u64], recovered: bool) {
    let missed = log.since(since);
    assert_eq!(
        (offsets(&missed.publications).as_slice(), missed.recovered),
        (expected, recovered),
        "{since:?}"
    );
}

#[test]
fn resuming_reports_a_loss_exactly_when_there_is_one() {
    let mut log = log();
    check_since(&log, at(0), &[], true);
    for now in 0..5 {
        append(&mut log, &LIMITS, now);
    }
    check_since(&log, StartPoint::Earliest, &[3, 4, 5], true);
    check_since(&log, at(5), &[], true);
    check_since(&log, at(3), &[4, 5], true);
    check_since(&log, at(2), &[3, 4, 5], true);
    check_since(&log, at(1), &[3, 4, 5], false);
    check_since(&log, at(6), &[3, 4, 5], false);
    check_since(&log, at(u64::MAX), &[3, 4, 5], false);
    let foreign = Position { epoch: Epoch::FOREIGN, offset: 5 };
    check_since(&log, StartPoint::After(foreign), &[3, 4, 5], false);
}

#[test]
fn old_publications_go_when_their_time_is_up() {
    let mut log = log();
    append(&mut log, &LIMITS, 0);
    append(&mut log, &LIMITS, 900);
    log.trim(&LIMITS, 1_001_000);
    check_since(&log, StartPoint::Earliest, &[2], true);
    log.trim(&LIMITS, 9_000_000);
    assert!(log.is_empty());
    assert_eq!(log.bytes(), 0);
    check_since(&log, at(2), &[], true);
    check_since(&log, at(1), &[], false);
}

#[test]
fn bytes_are_bounded_even_if_nothing_fits() {
    let mut log = log();
    let limits = HistoryLimits { messages: 10, bytes: 1, ttl_ms: 1_000 };
    append(&mut log, &limits, 0);
    assert!(log.is_empty());
    check_since(&log, at(0), &[], false);
}

#[test]
fn without_history_positions_go_on_and_are_not_shown() {
    let mut log = log();
    let publication = append(&mut log, &HistoryLimits::OFF, 0);
    assert_eq!((publication.offset, publication.message.position), (1, None));
    check_since(&log, at(1), &[], true);
    check_since(&log, at(0), &[], false);
}

#[test]
fn publications_placed_elsewhere_are_held_if_they_follow_on() {
    let mut log = log();
    let topic: Topic = "t".parse().unwrap();
    let mut place = |epoch, offset| {
        let publish = Publish {
            topic: topic.clone(),
            payload: Payload::text("x"),
            key: None,
            from: None,
            except: None,
        };
        let position = Position { epoch: Epoch::from_random(epoch), offset };
        let placed = Placed { position, after: offset - 1, ts: 1 };
        let publication = log.append_placed(publish, &topic, placed, &LIMITS, 0, &HeldSum::default());
        assert_eq!((publication.offset, publication.message.position), (offset, Some(position)));
        (offsets(&log.last(9)), log.head().offset)
    };
    assert_eq!(place(9, 1), (vec![1], 1));
    assert_eq!(place(9, 2), (vec![1, 2], 2));
    assert_eq!(place(9, 1), (vec![1, 2], 2), "one that was counted already");
    assert_eq!(place(9, 7), (vec![7], 7), "one that leaves something out");
    assert_eq!(place(3, 1), (vec![1], 1), "one of another epoch");
    assert_eq!(log.head().epoch, Epoch::from_random(3));
}

#[test]
fn a_loss_is_not_forgotten_when_something_older_goes() {
    let mut log = log();
    append(&mut log, &LIMITS, 10);
    append(&mut log, &HistoryLimits::OFF, 20);
    append(&mut log, &LIMITS, 30);
    log.trim(&LIMITS, 1_011_000);
    check_since(&log, at(1), &[3], false);
    check_since(&log, at(2), &[3], true);
    check_since(&log, StartPoint::Moment(15), &[3], false);
    check_since(&log, StartPoint::Moment(21), &[3], true);
}

#[test]
fn clearing_is_never_hidden() {
    let mut log = log();
    append(&mut log, &LIMITS, 0);
    log.clear();
    check_since(&log, at(0), &[], false);
    check_since(&log, at(1), &[], true);
}

#[test]
fn pages_run_both_ways() {
    let mut log = log();
    for now in 0..5 {
        append(&mut log, &LIMITS, now);
    }
    let check = |page: Page, expected: &[u64], gap, more| {
        assert_eq!((offsets(&page.publications).as_slice(), page.gap, page.more), (expected, gap, more));
    };
    check(log.page_forward(StartPoint::Earliest, 2), &[3, 4], false, true);
    check(log.page_forward(at(4), 2), &[5], false, false);
    check(log.page_forward(at(0), 2), &[3, 4], true, true);
    check(log.page_backward(StartPoint::Earliest, 2), &[5, 4], false, true);
    check(log.page_backward(at(4), 2), &[3], false, false);
    check(log.page_backward(at(2), 2), &[], true, false);
    check(log.page_backward(at(1), 2), &[], false, false);
    check(log.page_backward(at(0), 2), &[], false, false);
    let cost = log.last(1)[0].cost();
    check(log.page_forward(StartPoint::Earliest, 3).within(2 * cost), &[3, 4], false, true);
    check(log.page_forward(StartPoint::Earliest, 3).within(1), &[3], false, true);
    check(log.page_forward(StartPoint::Earliest, 3).within(3 * cost), &[3, 4, 5], false, false);
}

#[test]
fn a_moment_recovers_exactly_what_is_held_since() {
    let mut log = TopicLog::new(Epoch::from_random(9), 100);
    check_since(&log, StartPoint::Moment(100), &[], true);
    check_since(&log, StartPoint::Moment(99), &[], false);
    for now in [110, 120, 120, 130] {
        append(&mut log, &LIMITS, now);
    }
    check_since(&log, StartPoint::Moment(131), &[], true);
    check_since(&log, StartPoint::Moment(u64::MAX), &[], true);
    check_since(&log, StartPoint::Moment(121), &[4], true);
    check_since(&log, StartPoint::Moment(120), &[2, 3, 4], true);
    check_since(&log, StartPoint::Moment(111), &[2, 3, 4], true);
    check_since(&log, StartPoint::Moment(110), &[2, 3, 4], false);
    check_since(&log, StartPoint::Moment(0), &[2, 3, 4], false);
    append(&mut log, &LIMITS, 140);
    check_since(&log, StartPoint::Moment(120), &[3, 4, 5], false);
    log.clear();
    check_since(&log, StartPoint::Moment(140), &[], false);
    check_since(&log, StartPoint::Moment(141), &[], true);
}

#[test]
fn times_do_not_go_back_when_the_clock_does() {
    let mut log = log();
    for (ts, now) in [(500, 1), (200, 2), (600, 3)] {
        append_at(&mut log, &LIMITS, ts, now);
    }
    let times: Vec<_> = log.last(3).iter().map(|publication| publication.message.ts).collect();
    assert_eq!(times, [Some(500), Some(500), Some(600)]);
    check_since(&log, StartPoint::Moment(300), &[1, 2, 3], true);
    check_since(&log, StartPoint::Moment(501), &[3], true);
}

#[test]
fn what_is_held_goes_with_the_first_publication_that_is_not() {
    let mut log = log();
    append(&mut log, &LIMITS, 1);
    append(&mut log, &HistoryLimits::OFF, 2);
    append(&mut log, &LIMITS, 3);
    check_since(&log, StartPoint::Earliest, &[3], true);
    check_since(&log, at(1), &[3], false);
    check_since(&log, at(2), &[3], true);
    check_since(&log, StartPoint::Moment(2), &[3], false);
    check_since(&log, StartPoint::Moment(3), &[3], true);
    assert_eq!(log.bytes(), log.last(9)[0].cost());
}

#[test]
fn without_history_a_moment_is_whole_only_after_the_last_publication() {
    let mut log = log();
    append(&mut log, &HistoryLimits::OFF, 50);
    check_since(&log, StartPoint::Moment(50), &[], false);
    check_since(&log, StartPoint::Moment(51), &[], true);
}

#[test]
fn pages_run_both_ways_from_a_moment() {
    let mut log = log();
    for now in [10, 20, 20, 30, 40] {
        append(&mut log, &LIMITS, now);
    }
    let check = |page: Page, expected: &[u64], gap, more| {
        assert_eq!((offsets(&page.publications).as_slice(), page.gap, page.more), (expected, gap, more));
    };
    check(log.page_forward(StartPoint::Moment(30), 1), &[4], false, true);
    check(log.page_forward(StartPoint::Moment(20), 9), &[3, 4, 5], true, false);
    check(log.page_backward(StartPoint::Moment(u64::MAX), 2), &[5, 4], false, true);
    check(log.page_backward(StartPoint::Moment(40), 9), &[4, 3], false, false);
    check(log.page_backward(StartPoint::Moment(21), 9), &[3], false, false);
    check(log.page_backward(StartPoint::Moment(20), 9), &[], true, false);
    check(log.page_backward(StartPoint::Moment(0), 9), &[], true, false);
}

proptest! {
    /// The log against the simplest thing that could be right: a plain list of all offsets ever given.
    #[test]
    fn the_log_behaves_like_a_list(steps in prop::collection::vec((any::<bool>(), 0u64..400), 1..60), ask in 0u64..70) {
        let mut log = log();
        let mut all: Vec<(u64, u64)> = Vec::new();
        let mut now = 0;
        for (publish, pause) in steps {
            now += pause;
            if publish {
                all.push((append(&mut log, &LIMITS, now).offset, now));
            } else {
                log.trim(&LIMITS, now * 1000);
            }
            let kept: Vec<u64> = all.iter().rev().take(LIMITS.messages).rev()
                .filter(|(_, at)| at + LIMITS.ttl_ms >= now).map(|(offset, _)| *offset).collect();
            assert_eq!(offsets(&log.since(StartPoint::Earliest).publications), kept);
            let missed = log.since(at(ask));
            let wanted: Vec<u64> = all.iter().map(|(offset, _)| *offset).filter(|offset| *offset > ask).collect();
            let known = ask <= all.len() as u64;
            assert_eq!(missed.recovered, known && wanted.iter().all(|offset| kept.contains(offset)));
            if missed.recovered {
                assert_eq!(offsets(&missed.publications), wanted);
            }
        }
    }

    /// Reading by time against a plain list of all publications ever given, under a clock that jumps to and fro.
    #[test]
    fn reading_by_time_behaves_like_filtering_a_list(
        steps in prop::collection::vec((0u8..8, 0u64..50), 1..60), moment in 0u64..2_200, limit in 1usize..5,
    ) {
        let (began, mut clock) = (1_000, 1_000);
        let mut log = TopicLog::new(Epoch::from_random(9), began);
        let mut all: Vec<(u64, u64)> = Vec::new();
        for (step, by) in steps {
            match step {
                0 => clock -= by.min(clock),
                1 => log.clear(),
                2 => drop(append_at(&mut log, &HistoryLimits::OFF, clock, 0)),
                _ => {
                    clock += by;
                    append_at(&mut log, &LIMITS, clock, 0);
                }
            }
            let newest = all.last().map_or(began, |(_, ts)| *ts);
            if log.head().offset > all.len() as u64 {
                all.push((log.head().offset, clock.max(newest)));
            }
        }
        let held = offsets(&log.since(StartPoint::Earliest).publications);
        let wanted: Vec<u64> = all.iter().filter(|(_, ts)| *ts >= moment).map(|(offset, _)| *offset).collect();
        let before: Vec<u64> = all.iter().filter(|(_, ts)| *ts < moment).map(|(offset, _)| *offset).rev().collect();
        let held_of = |offsets: &[u64]| -> Vec<u64> {
            offsets.iter().copied().filter(|offset| held.contains(offset)).collect()
        };
        let missed = log.since(StartPoint::Moment(moment));
        assert_eq!(offsets(&missed.publications), held_of(&wanted));
        assert_eq!(missed.recovered, moment >= began && held_of(&wanted) == wanted);
        let page = log.page_backward(StartPoint::Moment(moment), limit);
        let expected = held_of(&before);
        assert_eq!(offsets(&page.publications), expected[..limit.min(expected.len())]);
        assert_eq!(page.more, expected.len() > limit);
    }
}
