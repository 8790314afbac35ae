//! History as a stream: page after page, over connections that break.

use fanwire_client::{Encoding, Error, Event, HistoryStream, Payload, Position, Since};
use fanwire_protocol::{ClientFrame, ErrorCode, Message, Reply, Request, ServerFrame};

use crate::fake_broker::{FakeBroker, Peer, at, in_epoch, in_time};
use crate::resuming::connect;

async fn next(events: &mut HistoryStream) -> Option<Event> {
    in_time(events.next()).await
}

/// Everything up to the end: offsets, and `None` where something is lost.
async fn all(mut events: HistoryStream) -> Vec<Option<u64>> {
    let mut all = Vec::new();
    while let Some(event) = next(&mut events).await {
        all.push(match event {
            Event::Message(message) => Some(message.position.unwrap().offset),
            Event::Lost { missed: None } => None,
            other => panic!("{other:?}"),
        });
    }
    all
}

/// Reads the question that comes next: its id, where it begins, and whether it reads backwards.
async fn question(peer: &mut Peer) -> (u32, Option<Since>, bool) {
    let ClientFrame { id: Some(id), request: Request::History { topic, since, limit, reverse } } =
        peer.read().await
    else {
        panic!("expected a question for history");
    };
    assert_eq!((topic.as_str(), limit), ("a", Some(3)));
    (id, since, reverse)
}

/// Answers with a page of these positions while the topic stands at `head`.
async fn answer(peer: &mut Peer, id: u32, head: Position, positions: &[Position], more: bool, gap: bool) {
    let topic: fanwire_client::Topic = "a".parse().unwrap();
    let message = |position: &Position| Message {
        topic: topic.clone(),
        payload: Payload::text("x"),
        position: Some(*position),
        ts: Some(1),
        from: None,
    };
    let messages = positions.iter().map(message).collect();
    peer.reply(id, Reply::History { topic: topic.clone(), position: head, messages, more, gap }).await;
}

fn since(position: Position) -> Option<Since> {
    Some(Since::Position(position))
}

#[tokio::test]
async fn pages_follow_each_other_over_a_broken_connection_and_end_where_it_began() {
    let broker = FakeBroker::start().await;
    let (client, mut peer) = connect(&broker, Encoding::MessagePack).await;
    let events = client.history("a").since(Since::Time(5)).limit(3).stream();
    let rest = async {
        let (id, place, reverse) = question(&mut peer).await;
        assert_eq!((place, reverse), (Some(Since::Time(5)), false));
        answer(&mut peer, id, at(20), &[at(4), at(9), at(11)], true, false).await;
        let asked = question(&mut peer).await;
        assert_eq!(asked.1, since(at(11)));
        peer.cut();
        let mut peer = broker.accept().await;
        assert_eq!(question(&mut peer).await, asked);
        // Meanwhile others publish: what is beyond the end as it was first is not read, and not asked for.
        answer(&mut peer, asked.0, at(40), &[at(15), at(20), at(21)], true, false).await;
        peer
    };
    let (all, _peer) = tokio::join!(all(events), rest);
    assert_eq!(all, [4, 9, 11, 15, 20].map(Some));
}

#[tokio::test]
async fn reading_backwards_goes_on_before_the_last_message() {
    let broker = FakeBroker::start().await;
    let (client, mut peer) = connect(&broker, Encoding::Json).await;
    let events = client.history("a").limit(3).reverse().stream();
    let rest = async {
        let (id, place, reverse) = question(&mut peer).await;
        assert_eq!((place, reverse), (None, true));
        answer(&mut peer, id, at(20), &[at(20), at(15), at(11)], true, false).await;
        let (id, place, reverse) = question(&mut peer).await;
        assert_eq!((place, reverse), (since(at(11)), true));
        answer(&mut peer, id, at(40), &[at(2)], false, false).await;
    };
    let (all, ()) = tokio::join!(all(events), rest);
    assert_eq!(all, [20, 15, 11, 2].map(Some));
}

#[tokio::test]
async fn what_was_let_go_of_between_two_pages_is_said_where_it_is_missing() {
    let broker = FakeBroker::start().await;
    let (client, mut peer) = connect(&broker, Encoding::Json).await;
    let events = client.history("a").since(Since::Earliest).limit(3).stream();
    let rest = async {
        let (id, ..) = question(&mut peer).await;
        answer(&mut peer, id, at(9), &[at(1), at(2), at(3)], true, false).await;
        let (id, place, _) = question(&mut peer).await;
        assert_eq!(place, since(at(3)));
        answer(&mut peer, id, at(12), &[at(8), at(9), at(10)], true, true).await;
    };
    let (all, ()) = tokio::join!(all(events), rest);
    assert_eq!(all, [Some(1), Some(2), Some(3), None, Some(8), Some(9)]);
}

#[tokio::test]
async fn a_topic_that_begins_anew_while_it_is_read_is_a_loss() {
    for reverse in [false, true] {
        let broker = FakeBroker::start().await;
        let (client, mut peer) = connect(&broker, Encoding::Json).await;
        let history = client.history("a").limit(3);
        let events = if reverse { history.reverse() } else { history }.stream();
        let rest = async {
            let (id, ..) = question(&mut peer).await;
            answer(&mut peer, id, at(9), &[at(1), at(2), at(3)], true, false).await;
            let (id, ..) = question(&mut peer).await;
            let anew = [in_epoch(8, 1), in_epoch(8, 2)];
            answer(&mut peer, id, in_epoch(8, 2), &anew, false, true).await;
        };
        let (all, ()) = tokio::join!(all(events), rest);
        let read = [Some(1), Some(2), Some(3), None];
        let anew: &[_] = if reverse { &[] } else { &[Some(1), Some(2)] };
        assert_eq!(all, [&read, anew].concat(), "reverse: {reverse}");
    }
}

#[tokio::test]
async fn an_empty_page_is_an_end_whatever_it_says() {
    let broker = FakeBroker::start().await;
    let (client, mut peer) = connect(&broker, Encoding::Json).await;
    let rest = async {
        let (id, ..) = question(&mut peer).await;
        answer(&mut peer, id, at(9), &[], true, false).await;
    };
    let (all, ()) = tokio::join!(all(client.history("a").limit(3).stream()), rest);
    assert_eq!(all, []);
}

#[tokio::test]
async fn a_refusal_ends_the_stream_with_the_reason() {
    let broker = FakeBroker::start().await;
    let (client, mut peer) = connect(&broker, Encoding::Json).await;
    let mut events = client.history("a").limit(3).stream();
    let refuse = async {
        let (id, ..) = question(&mut peer).await;
        let message = "it keeps none".to_owned();
        peer.say(&ServerFrame::Error { id: Some(id), code: ErrorCode::HistoryOff, message }).await;
    };
    let (event, ()) = tokio::join!(next(&mut events), refuse);
    let Some(Event::Ended(Error::Rejected { code, .. })) = event else { panic!("{event:?}") };
    assert_eq!(code, ErrorCode::HistoryOff);
    assert!(next(&mut events).await.is_none());
}
