//! Subscriptions that are not read: memory stays bounded, others go on, and nothing is lost that the topic holds.

use fanwire_client::{Client, Encoding, Event, Payload, Since, Subscription};
use fanwire_protocol::{ClientFrame, Receipt, Reply, Request, ServerFrame};

use crate::fake_broker::{FakeBroker, Peer, at, in_time};
use crate::resuming::{connect, next};

/// Two messages of `payload` fit.
const BUFFER_BYTES: u32 = 4096;

fn payload() -> Payload {
    Payload::text("x".repeat(1024))
}

async fn subscribe_with_small_buffer(client: &Client, peer: &mut Peer, topic: &str) -> Subscription {
    let request = client.subscribe(topic).buffer_bytes(BUFFER_BYTES).into_future();
    let (subscription, _) = tokio::join!(request, peer.accept_subscribe(Some(at(0)), true));
    subscription.unwrap()
}

async fn next_offset(subscription: &mut Subscription) -> u64 {
    match next(subscription).await {
        Event::Message(message) => message.position.unwrap().offset,
        other => panic!("expected a message, not {other:?}"),
    }
}

#[tokio::test]
async fn a_reader_that_catches_up_gets_everything_without_a_pause() {
    let broker = FakeBroker::start().await;
    let (client, mut peer) = connect(&broker, Encoding::Json).await;
    let mut messages = subscribe_with_small_buffer(&client, &mut peer, "a").await;
    let flood = async {
        for offset in 1..=2000 {
            peer.message("a", offset, payload()).await;
        }
    };
    let read = async {
        for offset in 1..=2000 {
            assert_eq!(next_offset(&mut messages).await, offset);
        }
    };
    tokio::join!(flood, read);
    drop(messages);
    let frame = peer.read().await;
    assert!(matches!(frame.request, Request::Unsubscribe { .. }), "the only one, at the very end: {frame:?}");
}

#[tokio::test]
async fn an_answer_behind_unread_messages_arrives_and_the_subscription_resumes() {
    let broker = FakeBroker::start().await;
    let (client, mut peer) = connect(&broker, Encoding::Json).await;
    let mut messages = subscribe_with_small_buffer(&client, &mut peer, "a").await;
    for offset in 1..=20 {
        peer.message("a", offset, payload()).await;
    }
    // The application reads nothing while it waits for this receipt, which is behind all twenty messages.
    let answer = async {
        let (id, _) = peer.read_publish().await;
        peer.receipt(id, 21).await;
        let ClientFrame { request: Request::Unsubscribe { .. }, .. } = peer.read().await else {
            panic!("expected the subscription to be paused");
        };
    };
    let (receipt, ()) = tokio::join!(client.publish("a", "x").into_future(), answer);
    assert_eq!(receipt.unwrap().position, at(21));

    let first = next_offset(&mut messages).await;
    assert_eq!(first, 1);
    let mut seen = 1;
    let resumed = async {
        let (_, options) = peer.accept_subscribe(Some(at(21)), true).await;
        let Some(Since::Position(from)) = options.since else { panic!("expected to resume from a position") };
        for offset in from.offset + 1..=21 {
            peer.message("a", offset, payload()).await;
        }
    };
    let read = async {
        while seen < 21 {
            seen += 1;
            assert_eq!(next_offset(&mut messages).await, seen);
        }
    };
    tokio::join!(resumed, read);
}

#[tokio::test]
async fn a_subscription_nobody_reads_does_not_keep_others_waiting_for_ever() {
    let broker = FakeBroker::start().await;
    let (client, mut peer) = connect(&broker, Encoding::Json).await;
    let _unread = subscribe_with_small_buffer(&client, &mut peer, "unread").await;
    let mut read = subscribe_with_small_buffer(&client, &mut peer, "read").await;
    for offset in 1..=20 {
        peer.message("unread", offset, payload()).await;
    }
    peer.message("read", 1, payload()).await;
    assert_eq!(next_offset(&mut read).await, 1);
}

#[tokio::test]
async fn what_the_broker_skipped_is_counted_to_the_reader() {
    let broker = FakeBroker::start().await;
    let (client, mut peer) = connect(&broker, Encoding::Json).await;
    let mut messages = subscribe_with_small_buffer(&client, &mut peer, "a").await;
    peer.say(&ServerFrame::Lagged { topic: Some("a".parse().unwrap()), missed: 42 }).await;
    assert!(matches!(next(&mut messages).await, Event::Lost { missed: Some(42) }));
}

#[tokio::test]
async fn requests_under_way_are_bounded_and_the_next_waits_its_turn() {
    let broker = FakeBroker::start().await;
    let (client, mut peer) = connect(&broker, Encoding::MessagePack).await;
    // Eight mebibytes are the bound: the ninth payload of one mebibyte is not even sent before a receipt frees room.
    let publishes: Vec<_> =
        (0..9).map(|_| tokio::spawn(client.publish("a", vec![0; 1 << 20]).into_future())).collect();
    let mut under_way = Vec::new();
    for _ in 0..7 {
        under_way.push(peer.read_publish().await.0);
    }
    let more = tokio::time::timeout(std::time::Duration::from_millis(100), peer.read()).await;
    assert!(more.is_err(), "an eighth request does not fit beside the others' overhead");
    for id in under_way {
        let receipt = Receipt { topic: "a".parse().unwrap(), position: at(1), duplicate: false };
        peer.reply(id, Reply::Published(receipt)).await;
    }
    for _ in 0..2 {
        let (id, _) = peer.read_publish().await;
        peer.receipt(id, 2).await;
    }
    for publish in publishes {
        in_time(publish).await.unwrap().unwrap();
    }
}
