//! Subscriptions over connections that break.

use std::time::Duration;

use fanwire_client::{
    Client, Encoding, Error, Event, Message, Payload, PayloadView, Reconnect, Since, Status, Subscription,
};
use fanwire_protocol::{ClientFrame, Reply, Request, SubscribeOptions};

use crate::fake_broker::{FakeBroker, Peer, at, in_epoch, in_time};

/// Reconnects at once: these tests are about what happens then.
pub(crate) fn eager() -> Reconnect {
    Reconnect { base: Duration::ZERO, cap: Duration::ZERO, attempts_max: None }
}

pub(crate) async fn connect(broker: &FakeBroker, encoding: Encoding) -> (Client, Peer) {
    let builder = Client::builder().encoding(encoding).reconnect(eager());
    let (client, peer) = tokio::join!(builder.connect(&broker.url), broker.accept());
    (client.unwrap(), peer)
}

/// Subscribes to `topic`, which stands at `offset`.
pub(crate) async fn subscribe(client: &Client, peer: &mut Peer, topic: &str, offset: u64) -> Subscription {
    let accepted = peer.accept_subscribe(Some(at(offset)), true);
    let (subscription, _) = tokio::join!(client.subscribe(topic).into_future(), accepted);
    subscription.unwrap()
}

pub(crate) async fn next(subscription: &mut Subscription) -> Event {
    in_time(subscription.next()).await.expect("the stream ended")
}

async fn next_message(subscription: &mut Subscription) -> Message {
    let event = next(subscription).await;
    event.clone().into_message().unwrap_or_else(|| panic!("expected a message, not {event:?}"))
}

async fn next_offset(subscription: &mut Subscription) -> u64 {
    next_message(subscription).await.position.unwrap().offset
}

fn text(text: &str) -> Payload {
    Payload::text(text)
}

fn since(offset: u64) -> SubscribeOptions {
    SubscribeOptions { since: Some(Since::Position(at(offset))), ..SubscribeOptions::default() }
}

async fn check_that_a_broken_connection_loses_and_repeats_nothing(encoding: Encoding) {
    let broker = FakeBroker::start().await;
    let (client, mut peer) = connect(&broker, encoding).await;
    let mut messages = subscribe(&client, &mut peer, "a", 10).await;
    peer.message("a", 12, text("one")).await;
    assert_eq!(next_offset(&mut messages).await, 12);
    peer.cut();

    let mut peer = broker.accept().await;
    assert_eq!(peer.accept_subscribe(Some(at(20)), true).await, ("a".to_owned(), since(12)));
    for offset in [12, 15, 20, 21] {
        peer.message("a", offset, Payload::binary([0xff, 0x00].as_slice())).await;
    }
    for expected in [15, 20, 21] {
        let message = next_message(&mut messages).await;
        assert_eq!(message.position.unwrap().offset, expected);
        assert_eq!(message.payload.view(), PayloadView::Binary(&[0xff, 0x00]));
    }
}

#[tokio::test]
async fn a_broken_connection_loses_and_repeats_nothing_in_json() {
    check_that_a_broken_connection_loses_and_repeats_nothing(Encoding::Json).await;
}

#[tokio::test]
async fn a_broken_connection_loses_and_repeats_nothing_in_messagepack() {
    check_that_a_broken_connection_loses_and_repeats_nothing(Encoding::MessagePack).await;
}

#[tokio::test]
async fn a_subscription_that_saw_no_message_yet_resumes_from_where_it_joined() {
    let broker = FakeBroker::start().await;
    let (client, mut peer) = connect(&broker, Encoding::Json).await;
    let _messages = subscribe(&client, &mut peer, "a", 10).await;
    peer.cut();
    let (_, options) = broker.accept().await.accept_subscribe(Some(at(10)), true).await;
    assert_eq!(options, since(10));
}

#[tokio::test]
async fn a_subscribe_that_was_under_way_is_asked_for_again() {
    let broker = FakeBroker::start().await;
    let (client, mut peer) = connect(&broker, Encoding::Json).await;
    let rest = async {
        peer.read().await;
        peer.cut();
        let mut peer = broker.accept().await;
        peer.accept_subscribe(Some(at(1)), true).await;
        peer
    };
    let (messages, _peer) = tokio::join!(client.subscribe("a").into_future(), rest);
    assert_eq!(messages.unwrap().pattern().as_str(), "a");
}

#[tokio::test]
async fn what_the_broker_no_longer_holds_is_said_before_the_next_message() {
    let broker = FakeBroker::start().await;
    let (client, mut peer) = connect(&broker, Encoding::Json).await;
    let mut messages = subscribe(&client, &mut peer, "a", 1).await;
    peer.cut();
    let mut peer = broker.accept().await;
    peer.accept_subscribe(Some(in_epoch(8, 3)), false).await;
    peer.message("a", 500, text("late")).await;
    assert!(matches!(next(&mut messages).await, Event::Lost { missed: None }));
    assert_eq!(next_offset(&mut messages).await, 500);
}

#[tokio::test]
async fn patterns_start_over_and_say_so_while_topics_resume() {
    let broker = FakeBroker::start().await;
    let (client, mut peer) = connect(&broker, Encoding::Json).await;
    let mut topic = subscribe(&client, &mut peer, "a.b", 1).await;
    let (wild, _) = tokio::join!(client.subscribe("x.*").into_future(), peer.accept_subscribe(None, true));
    let mut wild = wild.unwrap();
    peer.cut();
    let mut peer = broker.accept().await;
    assert_eq!(peer.accept_subscribe(Some(at(1)), true).await, ("a.b".to_owned(), since(1)));
    assert_eq!(peer.accept_subscribe(None, true).await, ("x.*".to_owned(), SubscribeOptions::default()));
    peer.message("a.b", 2, text("one")).await;
    assert_eq!(next_offset(&mut topic).await, 2);
    assert!(matches!(next(&mut wild).await, Event::Lost { .. }));
}

#[tokio::test]
async fn a_dropped_subscription_is_unsubscribed() {
    let broker = FakeBroker::start().await;
    let (client, mut peer) = connect(&broker, Encoding::Json).await;
    drop(subscribe(&client, &mut peer, "a", 1).await);
    let ClientFrame { id: None, request: Request::Unsubscribe { pattern } } = peer.read().await else {
        panic!("expected an unsubscribe");
    };
    assert_eq!(pattern.as_str(), "a");
}

#[tokio::test]
async fn history_and_ping_survive_a_broken_connection() {
    let broker = FakeBroker::start().await;
    let (client, mut peer) = connect(&broker, Encoding::MessagePack).await;
    let rest = async {
        let (one, two) = (peer.read().await, peer.read().await);
        peer.cut();
        let mut peer = broker.accept().await;
        assert_eq!((peer.read().await, peer.read().await), (one.clone(), two.clone()));
        let topic = "a".parse().unwrap();
        let history =
            Reply::History { topic, position: at(9), messages: Vec::new(), more: false, gap: false };
        peer.reply(one.id.unwrap(), history).await;
        peer.reply(two.id.unwrap(), Reply::Pong).await;
        peer
    };
    let history = client.history("a").since(Since::Earliest).limit(5).into_future();
    let (page, round_trip, _peer) = tokio::join!(history, client.ping(), rest);
    assert_eq!(page.unwrap().position, at(9));
    assert!(round_trip.is_ok());
}

#[tokio::test]
async fn the_status_tells_of_the_break_and_the_return() {
    let broker = FakeBroker::start().await;
    let (client, peer) = connect(&broker, Encoding::Json).await;
    let mut status = client.watch_status();
    assert!(matches!(client.status(), Status::Connected { .. }));
    peer.cut();
    let change = in_time(status.changed()).await.unwrap();
    assert!(matches!(change, Status::Reconnecting { attempt: 1, .. }), "{change:?}");
    let _peer = broker.accept().await;
    while !matches!(status.current(), Status::Connected { .. }) {
        in_time(status.changed()).await.unwrap();
    }
}

#[tokio::test]
async fn the_token_is_shown_at_every_connection_and_only_in_the_greeting() {
    let broker = FakeBroker::start().await;
    let builder = Client::builder().token("secret").reconnect(eager());
    assert!(!format!("{builder:?}").contains("secret"));
    let (client, peer) = tokio::join!(builder.connect(&broker.url), broker.accept());
    let _client = client.unwrap();
    assert_eq!(peer.token.as_deref(), Some("secret"));
    peer.cut();
    assert_eq!(broker.accept().await.token.as_deref(), Some("secret"));
}

#[tokio::test]
async fn a_subscription_the_broker_ends_says_why() {
    let broker = FakeBroker::start().await;
    let (client, mut peer) = connect(&broker, Encoding::Json).await;
    let mut messages = subscribe(&client, &mut peer, "a", 1).await;
    peer.message("a", 2, text("last")).await;
    let pattern = "a".parse().unwrap();
    let code = fanwire_client::ErrorCode::Forbidden;
    let reason = "no longer yours".to_owned();
    peer.say(&fanwire_protocol::ServerFrame::Unsubscribed { pattern, code, reason }).await;
    assert_eq!(next_offset(&mut messages).await, 2);
    assert!(matches!(next(&mut messages).await, Event::Ended(Error::Rejected { .. })));
    assert!(in_time(messages.next()).await.is_none());
}
