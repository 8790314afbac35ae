//! Who is there, and who comes and goes.

use fanwire_client::{Encoding, Error, Event, Member, Payload};
use fanwire_protocol::{ClientFrame, ErrorCode, Reply, Request, ServerFrame};

use crate::fake_broker::{FakeBroker, Peer};
use crate::resuming::{connect, next, subscribe};

fn member(user: &str) -> Member {
    let info = Some(Payload::from_json("{\"name\":\"Ann\"}").unwrap());
    Member { user: user.to_owned(), connection: "c1".to_owned(), info }
}

async fn question(peer: &mut Peer) -> u32 {
    let ClientFrame { id: Some(id), request: Request::Presence { topic } } = peer.read().await else {
        panic!("expected a question for presence");
    };
    assert_eq!(topic.as_str(), "a");
    id
}

#[tokio::test]
async fn those_who_are_there_are_told_over_a_broken_connection() {
    for encoding in [Encoding::Json, Encoding::MessagePack] {
        let broker = FakeBroker::start().await;
        let (client, mut peer) = connect(&broker, encoding).await;
        let info = match encoding {
            Encoding::Json => member("ann").info,
            Encoding::MessagePack => Some(Payload::text("Ann")),
        };
        let members = vec![Member { info, ..member("ann") }, Member { info: None, ..member("bob") }];
        let rest = async {
            let id = question(&mut peer).await;
            peer.cut();
            let mut peer = broker.accept().await;
            assert_eq!(question(&mut peer).await, id);
            let reply =
                Reply::Presence { topic: "a".parse().unwrap(), members: members.clone(), more: false };
            peer.reply(id, reply).await;
            peer
        };
        let (told, _peer) = tokio::join!(client.presence("a"), rest);
        assert_eq!(told.unwrap().members, members, "{encoding:?}");
    }
}

#[tokio::test]
async fn a_topic_without_presence_is_an_error_that_says_so() {
    let broker = FakeBroker::start().await;
    let (client, mut peer) = connect(&broker, Encoding::Json).await;
    let refuse = async {
        let id = question(&mut peer).await;
        let message = "'a' keeps no presence".to_owned();
        peer.say(&ServerFrame::Error { id: Some(id), code: ErrorCode::Unavailable, message }).await;
    };
    let (outcome, ()) = tokio::join!(client.presence("a"), refuse);
    assert!(matches!(outcome, Err(Error::Rejected { code: ErrorCode::Unavailable, .. })), "{outcome:?}");
    assert!(matches!(client.presence("a.*").await, Err(Error::InvalidTopic { .. })));
}

#[tokio::test]
async fn who_comes_and_goes_is_told_among_the_messages_to_every_subscription_that_matches() {
    let broker = FakeBroker::start().await;
    let (client, mut peer) = connect(&broker, Encoding::Json).await;
    let mut plain = subscribe(&client, &mut peer, "a.b", 1).await;
    let (wild, _) = tokio::join!(client.subscribe("a.*").into_future(), peer.accept_subscribe(None, true));
    let mut other = subscribe(&client, &mut peer, "c", 1).await;
    let topic: fanwire_client::Topic = "a.b".parse().unwrap();
    peer.say(&ServerFrame::Join { topic: topic.clone(), member: member("ann") }).await;
    peer.message("a.b", 2, Payload::text("hello")).await;
    peer.say(&ServerFrame::Leave { topic: topic.clone(), member: member("ann") }).await;
    peer.message("c", 2, Payload::text("other")).await;
    for events in [&mut plain, &mut wild.unwrap()] {
        let Event::Join { topic: joined, member: who } = next(events).await else { panic!("a join") };
        assert_eq!((joined, who), (topic.clone(), member("ann")));
        assert!(matches!(next(events).await, Event::Message(_)));
        let Event::Leave { topic: left, member: who } = next(events).await else { panic!("a leave") };
        assert_eq!((left, who), (topic.clone(), member("ann")));
    }
    assert!(matches!(next(&mut other).await, Event::Message(_)), "it is of another topic");
}

#[tokio::test]
async fn messages_the_broker_skipped_are_told_with_their_number() {
    let broker = FakeBroker::start().await;
    let (client, mut peer) = connect(&broker, Encoding::Json).await;
    let (mut one, mut two) =
        (subscribe(&client, &mut peer, "a", 1).await, subscribe(&client, &mut peer, "b", 1).await);
    peer.message("a", 5, Payload::text("x")).await;
    peer.say(&ServerFrame::Lagged { topic: Some("a".parse().unwrap()), missed: 12 }).await;
    peer.say(&ServerFrame::Lagged { topic: None, missed: 3 }).await;
    peer.message("a", 30, Payload::text("x")).await;
    assert!(matches!(next(&mut one).await, Event::Message(_)));
    assert_eq!(one.position().map(|position| position.offset), Some(5));
    assert!(matches!(next(&mut one).await, Event::Lost { missed: Some(12) }));
    assert!(matches!(next(&mut one).await, Event::Lost { missed: Some(3) }));
    assert!(matches!(next(&mut one).await, Event::Message(_)));
    assert_eq!(one.position().map(|position| position.offset), Some(30));
    assert!(matches!(next(&mut two).await, Event::Lost { missed: Some(3) }));
}

#[tokio::test]
async fn a_new_token_is_shown_at_the_next_connection_and_a_refused_one_is_not() {
    let broker = FakeBroker::start().await;
    let builder = fanwire_client::Client::builder().token("first").reconnect(crate::resuming::eager());
    let (client, mut peer) = tokio::join!(builder.connect(&broker.url), broker.accept());
    let client = client.unwrap();
    let answer = async {
        for (expected, is_taken) in [("second", true), ("third", false)] {
            let ClientFrame { id: Some(id), request: Request::Refresh { token } } = peer.read().await else {
                panic!("expected a refresh");
            };
            assert_eq!(token, expected);
            if is_taken {
                peer.reply(id, Reply::Refreshed { expires: Some(1_800_000_000) }).await;
            } else {
                let (code, message) = (ErrorCode::Unauthorized, "the token is unknown".to_owned());
                peer.say(&ServerFrame::Error { id: Some(id), code, message }).await;
            }
        }
        peer.cut();
        broker.accept().await
    };
    let ask = async {
        assert_eq!(client.refresh("second").await.unwrap(), Some(1_800_000_000));
        let refused = client.refresh("third").await;
        assert!(matches!(refused, Err(Error::Rejected { code: ErrorCode::Unauthorized, .. })), "{refused:?}");
    };
    let (peer, ()) = tokio::join!(answer, ask);
    assert_eq!(peer.token.as_deref(), Some("second"));
}

#[tokio::test]
async fn the_application_is_asked_once() {
    let broker = FakeBroker::start().await;
    let (client, mut peer) = connect(&broker, Encoding::Json).await;
    let answer = async {
        let ClientFrame { id: Some(id), request: Request::Call { method, data } } = peer.read().await else {
            panic!("expected a request");
        };
        assert_eq!((method.as_str(), data), ("orders.total", Payload::text("17")));
        peer.reply(id, Reply::Response { data: Payload::text("99.5") }).await;
        peer.read().await;
        peer.cut();
        broker.accept().await
    };
    let ask = async {
        assert_eq!(client.request("orders.total", "17").await.unwrap(), Payload::text("99.5"));
        let unknown = client.request("orders.pay", "17").await;
        assert!(matches!(unknown, Err(Error::ConnectionLost)), "{unknown:?}");
    };
    let (_peer, ()) = tokio::join!(answer, ask);
}
