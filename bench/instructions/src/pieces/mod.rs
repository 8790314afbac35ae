//! The pieces that are counted: what the broker does for every frame, publication and delivery.
//!
//! Each prepares what it needs, which is not counted, and then does the same operation many times inside [`measured`], so
//! that the seeds of hash tables, which differ from run to run, average out.

mod codec;
mod fanout;
mod topics;

use std::hint::black_box;
use std::sync::Arc;

use fanwire_core::broadcast::Broadcast;
use fanwire_core::held::HeldSum;
use fanwire_core::publication::Publication;
use fanwire_protocol::{Epoch, Message, Payload, Position, Topic};

/// One thing that is counted.
pub(crate) struct Piece {
    /// Its name in the baseline.
    pub(crate) name: &'static str,
    /// What one operation is.
    pub(crate) unit: &'static str,
    /// How many operations [`Piece::run`] measures.
    pub(crate) operations: u64,
    /// Prepares, and runs the operations inside [`measured`].
    pub(crate) run: fn(),
}

/// All pieces, in the order of a publication's way.
pub(crate) const PIECES: &[Piece] = &[
    Piece { name: "decode-json", unit: "a publish", operations: REPEAT, run: codec::decode_json },
    Piece { name: "decode-msgpack", unit: "a publish", operations: REPEAT, run: codec::decode_msgpack },
    Piece { name: "session-publish", unit: "a publish", operations: REPEAT, run: topics::session_publish },
    Piece { name: "log-append", unit: "a publication", operations: REPEAT, run: topics::log_append },
    Piece { name: "encode-json", unit: "a frame", operations: REPEAT, run: codec::encode_json },
    Piece { name: "encode-msgpack", unit: "a frame", operations: REPEAT, run: codec::encode_msgpack },
    Piece { name: "encode-sse", unit: "an event", operations: REPEAT, run: codec::encode_sse },
    Piece { name: "convert-msgpack-json", unit: "a frame", operations: REPEAT, run: codec::convert },
    Piece {
        name: "fanout-1-to-100",
        unit: "a delivery",
        operations: fanout::DELIVERIES,
        run: fanout::one_to_many,
    },
    Piece {
        name: "fanout-64-to-100",
        unit: "a delivery",
        operations: 64 * fanout::DELIVERIES,
        run: fanout::gathered,
    },
    Piece {
        name: "fanout-topics",
        unit: "a delivery",
        operations: fanout::TOPIC_DELIVERIES,
        run: fanout::by_topic,
    },
    Piece {
        name: "fanout-overlapping",
        unit: "a session",
        operations: fanout::DELIVERIES,
        run: fanout::overlapping,
    },
    Piece { name: "outbox", unit: "a chunk", operations: REPEAT, run: fanout::outbox },
    Piece { name: "match-none", unit: "a topic", operations: REPEAT, run: topics::match_none },
    Piece { name: "match-some", unit: "a topic", operations: REPEAT, run: topics::match_some },
    Piece { name: "join-leave", unit: "a subscription", operations: REPEAT, run: topics::join_leave },
    Piece { name: "resume", unit: "a subscription", operations: REPEAT, run: topics::resume },
];

/// How often most operations are done.
const REPEAT: u64 = 2000;

/// Runs what is counted: callgrind counts while this function is on the stack.
#[inline(never)]
pub(crate) fn measured<T>(work: impl FnOnce() -> T) -> T {
    black_box(work())
}

fn topic(name: &str) -> Topic {
    name.parse().expect("the pieces name topics by the rules")
}

/// A payload of 128 bytes, as in the load generator's runs.
fn payload() -> Payload {
    Payload::text("x".repeat(128))
}

fn message(topic: &Topic, payload: Payload, offset: u64) -> Message {
    let position = Some(Position { epoch: Epoch::from_random(u64::MAX >> 16), offset });
    Message { topic: topic.clone(), payload, position, ts: Some(1_800_000_000_000), from: None }
}

fn broadcast(topic: &Topic, offset: u64) -> Arc<Broadcast> {
    let message = message(topic, payload(), offset);
    Arc::new(Broadcast::new(Arc::new(Publication::new(message, offset, 0, &HeldSum::default())), None))
}
