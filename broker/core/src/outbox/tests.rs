//! The outbox: order, bounds, what is skipped, and the reports of it.

use fanwire_protocol::{Epoch, Message, Payload, Position};

use super::*;
use crate::format::testing::{PLAIN, SEPARATE};

fn chunk(text: &'static str) -> Delivery {
    Delivery::Chunk(Bytes::from_static(text.as_bytes()), 1)
}

fn publication(offset: u64) -> Arc<Publication> {
    let position = Some(Position { epoch: Epoch::from_random(1), offset });
    let topic = "t".parse().unwrap();
    let message =
        Message { topic, payload: Payload::text(offset.to_string()), position, ts: None, from: None };
    Arc::new(Publication::new(message, offset, 0, &crate::held::HeldSum::default()))
}

/// Writes out all that waits, at most `step` bytes at a time.
fn drain(outbox: &mut Outbox, step: usize) -> String {
    let mut out = Vec::new();
    while !outbox.is_empty() {
        let mut slices = std::array::from_fn(|_| IoSlice::new(&[]));
        let count = outbox.fill(&mut slices);
        let bytes: Vec<u8> =
            slices[..count].iter().flat_map(|slice| slice.iter().copied()).take(step).collect();
        outbox.advance(bytes.len());
        out.extend(bytes);
    }
    assert_eq!(outbox.bytes(), 0);
    String::from_utf8_lossy(&out).into_owned()
}

#[test]
fn everything_goes_out_in_order_however_it_is_cut() {
    for step in [1, 2, 3, 100] {
        let mut outbox = Outbox::new(&PLAIN, 1_000);
        outbox.push_own(Bytes::from_static(b"hello;"));
        outbox.push_replay(vec![publication(1), publication(2)]);
        outbox.push(chunk("live;")).unwrap();
        assert_eq!(drain(&mut outbox, step), "hello;12live;");
    }
}

#[test]
fn the_bound_holds_and_an_empty_outbox_takes_any_message() {
    let mut outbox = Outbox::new(&PLAIN, 4);
    outbox.push(chunk("longer than four")).unwrap();
    assert_eq!(outbox.push(chunk("x")), Err(OutboxFull));
    assert_eq!(drain(&mut outbox, 100), "longer than four");
    outbox.push(chunk("ab")).unwrap();
    outbox.push(chunk("cd")).unwrap();
    assert_eq!(outbox.push(chunk("e")), Err(OutboxFull));
    assert_eq!(drain(&mut outbox, 100), "abcd");
}

#[test]
fn tiny_pieces_cost_more_than_their_bytes() {
    let mut outbox = Outbox::new(&PLAIN, 1024 * 1024);
    let count = (0..).find(|_| outbox.push(chunk("x")).is_err()).unwrap();
    assert_eq!(count, 1024 * 1024 / PIECE_BYTES);
    let topic = topic("t");
    assert_eq!(outbox.push_or_skip(&topic, chunk("x")), 1);
    assert_eq!(outbox.push_latest(&topic, chunk("x"), chunk("x")), 1);
    let mut replies = Outbox::new(&PLAIN, 1024 * 1024);
    let count = (0..).find(|_| {
        replies.push_own(Bytes::from_static(b"x"));
        replies.is_over()
    });
    assert_eq!(count, Some(1024 * 1024 / PIECE_BYTES / 2), "then no more is asked");
}

#[test]
fn clearing_never_cuts_a_chunk_in_two() {
    let mut outbox = Outbox::new(&PLAIN, 100);
    outbox.push(chunk("abc")).unwrap();
    outbox.push(chunk("def")).unwrap();
    outbox.advance(1);
    outbox.clear_unbegun();
    outbox.push_own(Bytes::from_static(b"!"));
    assert_eq!(drain(&mut outbox, 100), "bc!");
    outbox.push(chunk("abc")).unwrap();
    outbox.clear_unbegun();
    assert_eq!((outbox.bytes(), outbox.is_empty()), (0, true));
}

#[test]
fn a_long_replay_is_encoded_piece_by_piece() {
    let mut outbox = Outbox::new(&PLAIN, 100);
    outbox.push_replay((1..=50_000).map(publication).collect());
    let first = outbox.pop_chunk().unwrap();
    assert!((REPLAY_AHEAD_BYTES..2 * REPLAY_AHEAD_BYTES).contains(&first.len()), "{} bytes", first.len());
    assert!(outbox.is_replaying());
}

fn topic(name: &str) -> Topic {
    name.parse().unwrap()
}

#[test]
fn skipped_publications_are_reported_before_the_next_of_the_topic_or_when_all_is_written() {
    let mut outbox = Outbox::new(&PLAIN, 6);
    let (a, b) = (topic("a"), topic("b"));
    assert_eq!(outbox.push_or_skip(&a, chunk("first;")), 0);
    assert_eq!(outbox.push_or_skip(&a, chunk("lost;")), 1);
    assert_eq!(outbox.push_or_skip(&b, chunk("lost;")), 1);
    outbox.advance(4);
    assert_eq!(outbox.push_or_skip(&a, chunk("a;")), 0);
    let gap = |topic: &str| format!("<{topic} lagged 1>");
    assert_eq!(drain(&mut outbox, 100), format!("t;{}a;{}", gap("a"), gap("b")));
    assert!(outbox.skipped.is_none());
}

#[test]
fn of_a_topic_only_the_newest_waits() {
    let mut outbox = Outbox::new(&PLAIN, 100);
    let (a, b) = (topic("a"), topic("b"));
    let mut push = |topic, text| outbox.push_latest(topic, chunk(text), chunk(text));
    assert_eq!(push(&a, "a1;"), 0, "who keeps up gets all");
    assert_eq!(push(&a, "a2;"), 0);
    assert_eq!(push(&b, "b1;"), 0);
    assert_eq!(push(&a, "a3;"), 1);
    assert_eq!(push(&a, "a4;"), 1);
    assert_eq!(outbox.bytes(), 9);
    let gap = "<a lagged 2>";
    assert_eq!(drain(&mut outbox, 100), format!("a1;{gap}a4;b1;"));
    assert!(outbox.skipped.is_none());
}

#[test]
fn what_is_being_written_is_not_replaced() {
    let mut outbox = Outbox::new(&PLAIN, 100);
    let a = topic("a");
    outbox.push(chunk("x")).unwrap();
    outbox.push_latest(&a, chunk("old;"), chunk("old;"));
    outbox.advance(1);
    let mut slices = std::array::from_fn(|_| IoSlice::new(&[]));
    assert_eq!(outbox.fill(&mut slices), 1);
    outbox.advance(1);
    outbox.push_latest(&a, chunk("new;"), chunk("new;"));
    assert_eq!(drain(&mut outbox, 100), "ld;new;");
}

#[test]
fn separate_frames_are_handed_over_one_by_one_and_counted_as_encoded() {
    let mut outbox = Outbox::new(&SEPARATE, 10_000);
    outbox.push_replay(vec![publication(1)]);
    assert_eq!((outbox.bytes(), outbox.pinned_bytes()), (0, publication(1).cost()));
    let live = Frame::new(&publication(2), Bytes::from_static(b"encoded"));
    outbox.push(Delivery::Frames(vec![live])).unwrap();
    assert_eq!(outbox.bytes(), "encoded".len());
    let offset = |frame: Frame| frame.position.unwrap().offset;
    let offsets: Vec<u64> = std::iter::from_fn(|| outbox.pop_frame()).map(offset).collect();
    assert_eq!(offsets, [1, 2]);
    assert_eq!((outbox.bytes(), outbox.pinned_bytes()), (0, 0));
}
