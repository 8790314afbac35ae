//! Connections that end with a word, on either side.

use std::time::{Duration, Instant};

use fanwire_client::{Client, Encoding, Error, Event, Reconnect, Status};
use fanwire_protocol::{ErrorCode, ServerFrame};

use crate::fake_broker::{FakeBroker, PATIENCE, at, in_time};
use crate::resuming::{connect, eager, next, subscribe};

fn closing(code: u16, reconnect: bool, after_ms: Option<u64>) -> ServerFrame {
    ServerFrame::Closing { code, reason: "as announced".to_owned(), reconnect, after_ms }
}

#[tokio::test]
async fn codes_that_say_stay_away_end_the_client_with_the_reason() {
    for code in [4401, 4440, 4499, 1008] {
        let broker = FakeBroker::start().await;
        let (client, mut peer) = connect(&broker, Encoding::Json).await;
        let mut messages = subscribe(&client, &mut peer, "a", 1).await;
        peer.close(code).await;
        let Event::Ended(Error::Disconnected { code: told, reason }) = next(&mut messages).await else {
            panic!("expected the end");
        };
        assert_eq!((told, reason.as_str()), (Some(code), "as the test says"));
        assert!(in_time(messages.next()).await.is_none());
        let outcome = client.publish("a", "x").await;
        assert!(matches!(outcome, Err(Error::Disconnected { .. })), "{outcome:?}");
    }
}

#[tokio::test]
async fn codes_that_say_come_back_are_followed() {
    for code in [1001, 4413, 4500, 1012] {
        let broker = FakeBroker::start().await;
        let (client, mut peer) = connect(&broker, Encoding::Json).await;
        let _messages = subscribe(&client, &mut peer, "a", 1).await;
        peer.close(code).await;
        broker.accept().await.accept_subscribe(Some(at(1)), true).await;
    }
}

#[tokio::test]
async fn the_closing_frame_decides_whatever_the_code_says() {
    let broker = FakeBroker::start().await;
    let (client, mut peer) = connect(&broker, Encoding::Json).await;
    let mut messages = subscribe(&client, &mut peer, "a", 1).await;
    peer.say(&closing(4401, true, Some(0))).await;
    peer.close(4401).await;
    let mut peer = broker.accept().await;
    peer.accept_subscribe(Some(at(1)), true).await;
    peer.say(&closing(1001, false, None)).await;
    peer.close(1001).await;
    assert!(matches!(next(&mut messages).await, Event::Ended(_)));
}

#[tokio::test]
async fn the_client_comes_back_no_sooner_than_asked() {
    let broker = FakeBroker::start().await;
    let (client, mut peer) = connect(&broker, Encoding::Json).await;
    let mut status = client.watch_status();
    let said = Instant::now();
    peer.say(&closing(1001, true, Some(300))).await;
    peer.close(1001).await;
    let Status::Reconnecting { wait, .. } = in_time(status.changed()).await.unwrap() else {
        panic!("expected to be reconnecting");
    };
    assert_eq!(wait, Duration::from_millis(300));
    let _peer = broker.accept().await;
    assert!(said.elapsed() >= Duration::from_millis(300));
}

#[tokio::test]
async fn closing_sends_what_is_queued_and_ends_the_streams_without_an_error() {
    let broker = FakeBroker::start().await;
    let (client, mut peer) = connect(&broker, Encoding::Json).await;
    let mut messages = subscribe(&client, &mut peer, "a", 1).await;
    for _ in 0..10 {
        client.publish("a", "x").unacknowledged().await.unwrap();
    }
    let count = async {
        let mut count = 0;
        while peer.try_read().await.is_some() {
            count += 1;
        }
        count
    };
    let (count, ()) = tokio::join!(count, client.close());
    assert_eq!(count, 10);
    assert!(in_time(messages.next()).await.is_none());
    assert!(matches!(client.ping().await, Err(Error::Closed)));
    in_time(client.close()).await;
}

#[tokio::test]
async fn closing_while_there_is_no_connection_does_not_wait_for_one() {
    let broker = FakeBroker::start().await;
    let lazy = Reconnect { base: PATIENCE * 2, cap: PATIENCE * 2, attempts_max: None };
    let builder = Client::builder().reconnect(lazy);
    let (client, peer) = tokio::join!(builder.connect(&broker.url), broker.accept());
    let client = client.unwrap();
    let mut status = client.watch_status();
    peer.cut();
    in_time(status.changed()).await.unwrap();
    in_time(client.close()).await;
}

#[tokio::test]
async fn letting_go_of_everything_closes_the_connection() {
    let broker = FakeBroker::start().await;
    let (client, mut peer) = connect(&broker, Encoding::Json).await;
    let messages = subscribe(&client, &mut peer, "a", 1).await;
    drop(client);
    peer.message("a", 2, fanwire_client::Payload::text("still there")).await;
    let mut messages = messages;
    assert!(matches!(next(&mut messages).await, Event::Message(_)));
    drop(messages);
    while peer.try_read().await.is_some() {}
}

#[tokio::test]
async fn nothing_at_the_address_is_an_error_at_once() {
    let broker = FakeBroker::start().await;
    let url = broker.url.clone();
    drop(broker);
    let error = in_time(Client::connect(&url)).await.unwrap_err();
    assert!(matches!(error, Error::Unreachable { .. }), "{error}");
    assert!(error.to_string().contains(&url), "{error}");
}

#[tokio::test]
async fn an_http_refusal_is_told_with_its_status() {
    let broker = FakeBroker::start().await;
    let (outcome, ()) = tokio::join!(Client::connect(&broker.url), broker.refuse(404));
    let error = outcome.unwrap_err();
    assert!(matches!(error, Error::Refused { status: Some(404), .. }), "{error}");
    assert!(error.to_string().contains("no entry"), "{error}");
}

#[tokio::test]
async fn refused_credentials_are_told_and_not_tried_again() {
    let broker = FakeBroker::start().await;
    let (client, peer) = connect(&broker, Encoding::Json).await;
    let mut status = client.watch_status();
    peer.cut();
    let mut peer = broker.accept_silently().await;
    let id = peer.read().await.id;
    let message = "the token is over".to_owned();
    peer.say(&ServerFrame::Error { id, code: ErrorCode::TokenExpired, message }).await;
    let end = loop {
        match in_time(status.changed()).await.unwrap() {
            Status::Closed(error) => break error,
            _ => continue,
        }
    };
    assert!(matches!(end, Error::Rejected { code: ErrorCode::TokenExpired, .. }), "{end}");
}

#[tokio::test]
async fn reconnecting_is_given_up_after_the_most_attempts_allowed() {
    let broker = FakeBroker::start().await;
    let builder = Client::builder().reconnect(Reconnect { attempts_max: Some(2), ..eager() });
    let (client, mut peer) = tokio::join!(builder.connect(&broker.url), broker.accept());
    let client = client.unwrap();
    let mut messages = subscribe(&client, &mut peer, "a", 1).await;
    peer.cut();
    broker.refuse(503).await;
    broker.refuse(503).await;
    let Event::Ended(error) = next(&mut messages).await else { panic!("expected the end") };
    assert!(error.to_string().contains("given up"), "{error}");
}
