//! Tests of the queue, one behaviour at a time and under random orders of events.

use std::collections::BTreeSet;

use proptest::prelude::{Just, Strategy, any, prop, prop_oneof, proptest};

use super::{
    Bytes, HURRIED_BACKOFF_MAX_MS, WEBHOOK_BACKOFF_BASE_MS, WEBHOOK_RETRY_AFTER_MAX_MS, WebhookBatch,
    WebhookCounts, WebhookLimits, WebhookOutcome, WebhookQueue, WebhookStep,
};

const FAILED: WebhookOutcome = WebhookOutcome::Failed { retry_after_ms: None };

const LIMITS: WebhookLimits = WebhookLimits {
    queue_events_max: 8,
    queue_bytes_max: 100,
    batch_events_max: 3,
    batch_bytes_max: 30,
    delay_ms: 100,
    backoff_max_ms: 1000,
    age_max_ms: 60_000,
};

fn queue_of(events: &[&str]) -> WebhookQueue {
    let mut queue = WebhookQueue::new(LIMITS);
    for event in events {
        queue.push(Bytes::copy_from_slice(event.as_bytes()), 0);
    }
    queue
}

fn send(queue: &mut WebhookQueue, now_ms: u64) -> WebhookBatch {
    match queue.next(now_ms) {
        WebhookStep::Send(batch) => batch,
        other => panic!("expected a batch at {now_ms}, got {other:?}"),
    }
}

fn texts(batch: &WebhookBatch) -> Vec<&str> {
    batch.events.iter().map(|event| std::str::from_utf8(event).unwrap()).collect()
}

#[test]
fn events_wait_for_others_to_go_with() {
    let mut queue = queue_of(&["a"]);
    assert_eq!(queue.next(0), WebhookStep::WaitUntil(100));
    queue.push(Bytes::from_static(b"b"), 60);
    assert_eq!(queue.next(99), WebhookStep::WaitUntil(100), "the oldest decides");
    assert_eq!(
        send(&mut queue, 100),
        WebhookBatch { events: vec!["a".into(), "b".into()], lost: 0, attempt: 1 }
    );
    queue.push(Bytes::from_static(b"c"), 100);
    assert_eq!(queue.next(1000), WebhookStep::Rest, "one batch at a time");
    queue.finish(WebhookOutcome::Delivered, 1000, 0);
    assert_eq!(texts(&send(&mut queue, 1000)), ["c"]);
    queue.finish(WebhookOutcome::Delivered, 1000, 0);
    assert_eq!(queue.next(1000), WebhookStep::Rest);
    assert_eq!(queue.counts(), WebhookCounts { delivered: 3, ..WebhookCounts::default() });
}

#[test]
fn a_full_batch_does_not_wait() {
    assert_eq!(texts(&send(&mut queue_of(&["a", "b", "c", "d"]), 0)), ["a", "b", "c"]);
    let long = "x".repeat(20);
    assert_eq!(
        texts(&send(&mut queue_of(&[&long, &long]), 0)),
        [&long],
        "both would be more than a batch holds"
    );
    let huge = "x".repeat(90);
    assert_eq!(texts(&send(&mut queue_of(&[&huge, "a"]), 0)), [&huge], "what fits into no batch goes alone");
}

#[test]
fn what_failed_is_tried_again_in_order_and_later_each_time() {
    let mut queue = queue_of(&["a", "b"]);
    let mut now = 100;
    for attempt in 1..8 {
        let batch = send(&mut queue, now);
        assert_eq!((texts(&batch), batch.attempt), (vec!["a", "b"], attempt));
        queue.finish(FAILED, now, u64::MAX - 1);
        let ceiling = (WEBHOOK_BACKOFF_BASE_MS << (attempt - 1)).min(LIMITS.backoff_max_ms);
        let wait = (u64::MAX - 1) % (ceiling + 1);
        assert_eq!(queue.next(now), WebhookStep::WaitUntil(now + wait));
        now += wait;
    }
    send(&mut queue, now);
    queue.finish(WebhookOutcome::Delivered, now, 0);
    assert_eq!(queue.counts(), WebhookCounts { delivered: 2, retries: 7, ..WebhookCounts::default() });
    queue.push(Bytes::from_static(b"c"), now);
    assert_eq!(send(&mut queue, now + 100).attempt, 1, "a success ends the back-off");
}

#[test]
fn repetitions_are_spread_over_all_of_their_time() {
    let wait = |random| {
        let mut queue = queue_of(&["a"]);
        send(&mut queue, 100);
        queue.finish(FAILED, 100, random);
        match queue.next(100) {
            WebhookStep::WaitUntil(at) => at - 100,
            _ => 0,
        }
    };
    assert_eq!((wait(0), wait(1), wait(WEBHOOK_BACKOFF_BASE_MS)), (0, 1, WEBHOOK_BACKOFF_BASE_MS));
    assert_eq!(wait(WEBHOOK_BACKOFF_BASE_MS + 1), 0);
}

#[test]
fn retry_after_of_the_application_is_respected() {
    for (asked, waits) in [(0, 0), (30_000, 30_000), (u64::MAX, WEBHOOK_RETRY_AFTER_MAX_MS)] {
        let mut queue = queue_of(&["a"]);
        send(&mut queue, 100);
        queue.finish(WebhookOutcome::Failed { retry_after_ms: Some(asked) }, 100, 0);
        if waits > 0 {
            assert_eq!(queue.next(100), WebhookStep::WaitUntil(100 + waits));
            queue.hurry(100);
            assert_eq!(queue.next(100), WebhookStep::WaitUntil(100 + waits), "even when the broker stops");
        }
    }
}

#[test]
fn a_full_queue_drops_the_oldest_and_says_so() {
    let mut queue = queue_of(&["a", "b", "c", "d"]);
    assert_eq!(texts(&send(&mut queue, 100)), ["a", "b", "c"]);
    for event in ["e", "f", "g", "h", "i", "j"] {
        queue.push(Bytes::from_static(event.as_bytes()), 100);
    }
    assert_eq!((queue.len(), queue.counts().full), (8, 2), "what is on its way stays");
    queue.finish(WebhookOutcome::Delivered, 100, 0);
    let batch = send(&mut queue, 300);
    assert_eq!((texts(&batch), batch.lost), (vec!["f", "g", "h"], 2));
    queue.finish(FAILED, 300, 0);
    assert_eq!(send(&mut queue, 300).lost, 2, "it was not told yet");
    queue.finish(WebhookOutcome::Delivered, 300, 0);
    assert_eq!(send(&mut queue, 300).lost, 0);
}

#[test]
fn a_queue_is_bounded_in_bytes_too() {
    let mut queue = queue_of(&["a", &"x".repeat(99)]);
    assert_eq!((queue.len(), queue.bytes(), queue.counts().full), (2, 100, 0));
    queue.push(Bytes::from_static(b"b"), 0);
    assert_eq!((queue.len(), queue.bytes(), queue.counts().full), (2, 100, 1));
    queue.push(Bytes::from(vec![b'y'; 101]), 0);
    assert_eq!((queue.len(), queue.bytes(), queue.counts().full), (0, 0, 4), "this one fits into no queue");
}

#[test]
fn a_refused_event_is_not_sent_again() {
    let mut queue = queue_of(&["a", "b", "c", "d"]);
    send(&mut queue, 0);
    queue.finish(WebhookOutcome::Refused, 0, 0);
    let batch = send(&mut queue, 100);
    assert_eq!((texts(&batch), batch.lost, batch.attempt), (vec!["d"], 3, 1));
    assert_eq!(queue.counts(), WebhookCounts { refused: 3, ..WebhookCounts::default() });
}

#[test]
fn an_event_that_is_too_old_is_not_sent() {
    let mut queue = queue_of(&["a"]);
    queue.push(Bytes::from_static(b"b"), 1);
    let batch = send(&mut queue, LIMITS.age_max_ms);
    assert_eq!((texts(&batch), batch.lost), (vec!["b"], 1));
    assert_eq!(queue.counts().expired, 1);
}

#[test]
fn a_broker_that_stops_waits_for_nothing_and_gives_up_in_the_end() {
    let mut queue = queue_of(&["a", "b"]);
    queue.hurry(0);
    assert_eq!(texts(&send(&mut queue, 0)), ["a", "b"]);
    for _ in 0..20 {
        queue.finish(FAILED, 0, HURRIED_BACKOFF_MAX_MS);
        send(&mut queue, HURRIED_BACKOFF_MAX_MS);
    }
    queue.push(Bytes::from_static(b"c"), 0);
    assert_eq!((queue.give_up(), queue.len(), queue.bytes()), (3, 0, 0));
    assert_eq!(queue.counts().stopped, 3);
}

#[test]
fn a_broker_that_stops_does_not_wait_for_the_back_off_to_end() {
    let mut queue = queue_of(&["a"]);
    for _ in 0..5 {
        send(&mut queue, 100);
        queue.finish(FAILED, 100, 0);
    }
    send(&mut queue, 100);
    queue.finish(FAILED, 100, 999);
    assert_eq!(queue.next(100), WebhookStep::WaitUntil(1099));
    queue.hurry(100);
    assert_eq!(texts(&send(&mut queue, 100)), ["a"]);
}

/// What happens to a queue.
#[derive(Debug, Clone)]
enum Happening {
    Push(usize),
    Time(u64),
    Next,
    Finish(WebhookOutcome, u64),
}

fn happening() -> impl Strategy<Value = Happening> {
    let outcome = prop_oneof![
        3 => Just(WebhookOutcome::Delivered),
        1 => Just(WebhookOutcome::Refused),
        3 => prop::option::of(0u64..5000).prop_map(|retry_after_ms| WebhookOutcome::Failed { retry_after_ms }),
    ];
    prop_oneof![
        4 => (4usize..40).prop_map(Happening::Push),
        3 => (0u64..2000).prop_map(Happening::Time),
        1 => (0u64..70_000).prop_map(Happening::Time),
        4 => Just(Happening::Next),
        4 => (outcome, any::<u64>()).prop_map(|(outcome, random)| Happening::Finish(outcome, random)),
    ]
}

proptest! {
    /// After any order of events: the bounds hold, batches are stretches of what was put in and in that order, nothing is reported again
    /// after it was taken, and everything is delivered, dropped and counted, or still there.
    #[test]
    fn nothing_is_lost_uncounted_or_out_of_order(happenings in prop::collection::vec(happening(), 0..200)) {
        let mut queue = WebhookQueue::new(LIMITS);
        let (mut now, mut pushed, mut reported_lost) = (0, 0u32, 0);
        let mut on_its_way: Option<WebhookBatch> = None;
        let mut delivered = BTreeSet::new();
        for happening in happenings {
            match happening {
                Happening::Push(length) => {
                    pushed += 1;
                    let mut event = vec![0; length];
                    event[..4].copy_from_slice(&pushed.to_be_bytes());
                    queue.push(event.into(), now);
                }
                Happening::Time(passed) => now += passed,
                Happening::Next => match queue.next(now) {
                    WebhookStep::Send(batch) => {
                        assert!(on_its_way.is_none(), "one batch at a time");
                        let bytes: usize = batch.events.iter().map(Bytes::len).sum();
                        assert!((1..=LIMITS.batch_events_max).contains(&batch.events.len()));
                        assert!(bytes <= LIMITS.batch_bytes_max || batch.events.len() == 1);
                        on_its_way = Some(batch);
                    }
                    WebhookStep::WaitUntil(at) => assert!(at > now),
                    WebhookStep::Rest => assert!(on_its_way.is_some() || queue.is_empty()),
                },
                Happening::Finish(outcome, random) => {
                    let Some(batch) = on_its_way.take() else { continue };
                    queue.finish(outcome, now, random);
                    if outcome == WebhookOutcome::Delivered {
                        reported_lost += batch.lost;
                        for event in &batch.events {
                            let number = u32::from_be_bytes(*event.first_chunk().unwrap());
                            assert!(delivered.last().is_none_or(|last| *last < number), "in order, and once");
                            delivered.insert(number);
                        }
                    }
                }
            }
            assert!(queue.len() <= LIMITS.queue_events_max && queue.bytes() <= LIMITS.queue_bytes_max);
            let counts = queue.counts();
            assert_eq!(counts.delivered, delivered.len() as u64);
            assert_eq!(counts.delivered + counts.dropped() + queue.len() as u64, u64::from(pushed));
            assert!(reported_lost <= counts.dropped());
            assert_eq!(queue.oldest_ms().is_none(), queue.is_empty());
        }
        // Whatever happened, an application that accepts everything receives all that is left.
        if on_its_way.is_some() {
            queue.finish(WebhookOutcome::Delivered, now, 0);
        }
        for _ in 0..LIMITS.queue_events_max + 2 {
            match queue.next(now) {
                WebhookStep::Send(_) => queue.finish(WebhookOutcome::Delivered, now, 0),
                WebhookStep::WaitUntil(at) => now = at,
                WebhookStep::Rest => break,
            }
        }
        while let WebhookStep::Send(_) = queue.next(now) {
            queue.finish(WebhookOutcome::Delivered, now, 0);
        }
        assert!(queue.is_empty());
    }
}
