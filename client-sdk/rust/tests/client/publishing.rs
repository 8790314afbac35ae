//! Publishing over connections that break.

use fanwire_client::{Client, Encoding, Error, Payload};
use fanwire_protocol::{ClientFrame, ErrorCode, Request, ServerFrame};

use crate::fake_broker::{FakeBroker, PATIENCE, at, in_time};
use crate::resuming::connect;

#[tokio::test]
async fn many_publishes_are_under_way_at_once_and_each_gets_its_own_receipt() {
    let broker = FakeBroker::start().await;
    let (client, mut peer) = connect(&broker, Encoding::Json).await;
    let publishes: Vec<_> =
        (0..100).map(|number| tokio::spawn(client.publish("a", number.to_string()).into_future())).collect();
    let mut asked = Vec::new();
    for _ in 0..100 {
        let ClientFrame { id: Some(id), request: Request::Publish { payload, .. } } = peer.read().await
        else {
            panic!("expected a publish");
        };
        let number: u64 = String::from_utf8(payload.to_bare().into_owned()).unwrap().parse().unwrap();
        asked.push((id, number));
    }
    // Answered in another order than asked.
    for (id, number) in asked.into_iter().rev() {
        peer.receipt(id, 1000 + number).await;
    }
    for (number, publish) in publishes.into_iter().enumerate() {
        let receipt = in_time(publish).await.unwrap().unwrap();
        assert_eq!(receipt.position, at(1000 + number as u64));
    }
}

#[tokio::test]
async fn a_publish_under_way_when_the_connection_breaks_has_an_unknown_outcome() {
    let broker = FakeBroker::start().await;
    let (client, mut peer) = connect(&broker, Encoding::Json).await;
    let cut = async {
        peer.read_publish().await;
        peer.cut();
    };
    let (outcome, ()) = tokio::join!(client.publish("a", "x").without_key().into_future(), cut);
    assert!(matches!(outcome, Err(Error::ConnectionLost)), "{outcome:?}");
}

#[tokio::test]
async fn every_publish_has_a_key_of_its_own_and_keeps_it_when_asked_for_again() {
    let broker = FakeBroker::start().await;
    let (client, mut peer) = connect(&broker, Encoding::Json).await;
    let rest = async {
        let (one, two) = (peer.read_publish().await, peer.read_publish().await);
        assert!(one.1.is_some() && two.1.is_some() && one.1 != two.1, "{one:?} {two:?}");
        peer.cut();
        let mut peer = broker.accept().await;
        assert_eq!((peer.read_publish().await, peer.read_publish().await), (one.clone(), two.clone()));
        peer.receipt(one.0, 1).await;
        peer.receipt(two.0, 2).await;
        (peer, one.1)
    };
    let clone = client.clone();
    let (one, two) = (client.publish("a", "x").into_future(), clone.publish("a", "x").into_future());
    let (one, two, (peer, key)) = tokio::join!(one, two, rest);
    assert_eq!((one.unwrap().position, two.unwrap().position), (at(1), at(2)));
    drop(peer);
    let (other, mut peer) = connect(&broker, Encoding::Json).await;
    let (_, of_other) =
        tokio::join!(tokio::time::timeout(PATIENCE, other.publish("a", "x").into_future()), async {
            let (id, key) = peer.read_publish().await;
            peer.receipt(id, 3).await;
            key
        });
    assert_ne!(of_other, key, "no other client makes the same key");
}

#[tokio::test]
async fn a_publish_under_way_when_the_broker_wants_no_more_is_told_why() {
    let broker = FakeBroker::start().await;
    let (client, mut peer) = connect(&broker, Encoding::Json).await;
    let close = async {
        peer.read_publish().await;
        peer.close(1009).await;
    };
    let (outcome, ()) = tokio::join!(client.publish("a", "x").into_future(), close);
    assert!(matches!(outcome, Err(Error::Disconnected { code: Some(1009), .. })), "{outcome:?}");
}

#[tokio::test]
async fn a_publish_with_a_key_is_asked_for_again() {
    let broker = FakeBroker::start().await;
    let (client, mut peer) = connect(&broker, Encoding::MessagePack).await;
    let rest = async {
        let first = peer.read_publish().await;
        peer.cut();
        let mut peer = broker.accept().await;
        let again = peer.read_publish().await;
        assert_eq!(again, first);
        assert_eq!(again.1.as_deref(), Some("order-17"));
        peer.receipt(again.0, 5).await;
        peer
    };
    let (receipt, _peer) = tokio::join!(client.publish("a", "x").key("order-17").into_future(), rest);
    assert_eq!(receipt.unwrap().position, at(5));
}

#[tokio::test]
async fn what_is_published_while_disconnected_waits_for_the_connection() {
    let broker = FakeBroker::start().await;
    let (client, peer) = connect(&broker, Encoding::Json).await;
    let mut status = client.watch_status();
    peer.cut();
    in_time(status.changed()).await.unwrap();
    let rest = async {
        let mut peer = broker.accept().await;
        let (id, _) = peer.read_publish().await;
        peer.receipt(id, 1).await;
        peer
    };
    let (receipt, _peer) = tokio::join!(client.publish("a", "x").into_future(), rest);
    assert!(receipt.is_ok());
}

#[tokio::test]
async fn an_unacknowledged_publish_asks_for_nothing_and_keeps_its_place() {
    let broker = FakeBroker::start().await;
    let (client, mut peer) = connect(&broker, Encoding::Json).await;
    client.publish("a", "first").echo(false).unacknowledged().await.unwrap();
    client.publish("a", vec![0u8, 255]).unacknowledged().await.unwrap();
    let first = peer.read().await;
    let Request::Publish { echo: false, payload, key, .. } = first.request else {
        panic!("expected a publish")
    };
    assert_eq!((first.id, payload), (None, Payload::text("first")));
    assert_eq!(key, None, "it is never asked for again");
    let Request::Publish { payload, .. } = peer.read().await.request else { panic!("expected a publish") };
    assert_eq!(payload, Payload::binary([0u8, 255].as_slice()));
}

#[tokio::test]
async fn a_refusal_reaches_the_one_who_asked() {
    let broker = FakeBroker::start().await;
    let (client, mut peer) = connect(&broker, Encoding::Json).await;
    let refuse = async {
        let (id, _) = peer.read_publish().await;
        let message = "at most 1048576 bytes".to_owned();
        peer.say(&ServerFrame::Error { id: Some(id), code: ErrorCode::TooLarge, message }).await;
    };
    let (outcome, ()) = tokio::join!(client.publish("a", "x").into_future(), refuse);
    let error = outcome.unwrap_err();
    assert_eq!(error.to_string(), "at most 1048576 bytes (too_large)");
}

#[tokio::test]
async fn a_name_that_is_no_topic_is_refused_without_asking() {
    let broker = FakeBroker::start().await;
    let (client, _peer) = connect(&broker, Encoding::Json).await;
    for outcome in [
        client.publish("a.*", "x").await.map(drop),
        client.history("a b").await.map(drop),
        client.subscribe("a..b").await.map(drop),
    ] {
        assert!(matches!(outcome, Err(Error::InvalidTopic { .. })), "{outcome:?}");
    }
}

#[tokio::test]
async fn an_answer_that_never_comes_is_an_error_in_time() {
    let broker = FakeBroker::start().await;
    let builder = Client::builder().request_timeout(std::time::Duration::from_millis(50));
    let (client, _peer) = tokio::join!(builder.connect(&broker.url), broker.accept());
    let outcome = client.unwrap().publish("a", "x").await;
    assert!(matches!(outcome, Err(Error::TimedOut)), "{outcome:?}");
}

#[tokio::test]
async fn publishes_keep_the_order_in_which_they_were_first_polled() {
    let broker = FakeBroker::start().await;
    let (client, mut peer) = connect(&broker, Encoding::Json).await;
    // More than one turn of a busy task: tokio would make such a task yield somewhere in between.
    let mut publishes: Vec<_> =
        (0..1000).map(|number| client.publish("a", number.to_string()).into_future()).collect();
    std::future::poll_fn(|context| {
        for publish in &mut publishes {
            assert!(publish.as_mut().poll(context).is_pending());
        }
        std::task::Poll::Ready(())
    })
    .await;
    for number in 0..1000 {
        let Request::Publish { payload, .. } = peer.read().await.request else {
            panic!("expected a publish")
        };
        assert_eq!(payload.to_bare(), number.to_string().as_bytes());
    }
}

#[derive(Debug, PartialEq, serde::Serialize, serde::Deserialize)]
struct Order {
    id: u64,
    note: Option<String>,
}

#[tokio::test]
async fn a_typed_value_is_published_in_the_encoding_of_the_client_and_read_back() {
    for encoding in [Encoding::Json, Encoding::MessagePack] {
        let broker = FakeBroker::start().await;
        let (client, mut peer) = connect(&broker, encoding).await;
        let order = Order { id: 17, note: Some("fast".to_owned()) };
        let publish = tokio::spawn(client.publish_value("orders", &order).into_future());
        let ClientFrame { id: Some(id), request: Request::Publish { payload, .. } } = peer.read().await
        else {
            panic!("expected a publish");
        };
        assert_eq!(payload.decode::<Order>().unwrap(), order);
        assert_eq!(payload.to_bare(), br#"{"id":17,"note":"fast"}"#.as_slice());
        peer.receipt(id, 1).await;
        in_time(publish).await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn a_value_that_cannot_be_a_payload_is_an_error_and_nothing_is_sent() {
    let broker = FakeBroker::start().await;
    let (client, mut peer) = connect(&broker, Encoding::Json).await;
    let keys = std::collections::BTreeMap::from([(vec![1], 2)]);
    let error = client.publish_value("orders", &keys).await.unwrap_err();
    assert!(matches!(error, Error::InvalidPayload(_)), "{error}");
    assert!(error.to_string().starts_with("this value cannot be published"), "{error}");
    // The next frame is that of the next publish.
    let publish = tokio::spawn(client.publish("orders", "x").into_future());
    peer.read_publish().await;
    publish.abort();
}
