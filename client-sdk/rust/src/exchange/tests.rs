//! The exchange against a broker that is played by hand: no sockets, no time.

use std::sync::Arc;

use fanwire_protocol::{
    ClientFrame, Epoch, ErrorCode, Message, Payload, Position, Receipt, Reply, Request, ServerFrame, Since,
    SubscribeOptions,
};
use tokio::sync::{Notify, Semaphore, oneshot};

use super::{Command, Exchange};
use crate::error::Error;
use crate::event::Event;
use crate::queue::{Receiver, queue};

const BUFFER_BYTES: u32 = 1024;

fn at(offset: u64) -> Position {
    Position { epoch: Epoch::from_random(7), offset }
}

fn message(topic: &str, offset: Option<u64>) -> ServerFrame {
    ServerFrame::Message(Message {
        topic: topic.parse().unwrap(),
        payload: Payload::text("x"),
        position: offset.map(at),
        ts: None,
        from: None,
    })
}

type Answered<T> = oneshot::Receiver<Result<T, Error>>;

fn publish(exchange: &mut Exchange, key: Option<&str>) -> Answered<Reply> {
    ask(
        exchange,
        Request::Publish {
            topic: "a".parse().unwrap(),
            payload: Payload::text("x"),
            key: key.map(str::to_owned),
            echo: true,
        },
    )
}

fn ask(exchange: &mut Exchange, request: Request) -> Answered<Reply> {
    let (answer, answered) = oneshot::channel();
    let charge = Arc::new(Semaphore::new(1)).try_acquire_owned().unwrap();
    exchange.command(Command::Ask { request, answer, charge });
    answered
}

fn subscribe(exchange: &mut Exchange, pattern: &str) -> (Receiver, Answered<()>) {
    let attention: Arc<Notify> = Arc::default();
    let (sender, receiver) = queue(BUFFER_BYTES, attention);
    let (answer, answered) = oneshot::channel();
    let pattern = pattern.parse().unwrap();
    let options = SubscribeOptions::default();
    exchange.command(Command::Subscribe { pattern, options, sender, answer });
    (receiver, answered)
}

fn sent(exchange: &mut Exchange) -> Vec<ClientFrame> {
    std::iter::from_fn(|| exchange.next_outgoing()).collect()
}

/// Sends what there is and answers every subscribe as a broker whose topics stand at `offset`.
fn accept(exchange: &mut Exchange, offset: u64, recovered: bool) -> Vec<SubscribeOptions> {
    let mut asked = Vec::new();
    for frame in sent(exchange) {
        if let Request::Subscribe { pattern, options } = frame.request {
            let position = (!pattern.is_wild()).then(|| at(offset));
            let reply = Reply::Subscribed { pattern, position, recovered };
            exchange.received(ServerFrame::Reply { id: frame.id.unwrap(), reply });
            asked.push(options);
        }
    }
    asked
}

/// What a subscription's reader finds, as offsets; a loss is 0.
fn read(exchange: &mut Exchange, receiver: &mut Receiver) -> Vec<u64> {
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    let mut found = Vec::new();
    loop {
        exchange.deliver();
        let std::task::Poll::Ready(Some(event)) = receiver.poll_next(&mut context) else { return found };
        found.push(match event {
            Event::Message(message) => message.position.map_or(u64::MAX, |position| position.offset),
            Event::Lost { .. } => 0,
            Event::Ended(error) => panic!("ended: {error}"),
            Event::Join { .. } | Event::Leave { .. } => panic!("no member has joined"),
        });
    }
}

fn since(offset: u64) -> SubscribeOptions {
    SubscribeOptions { since: Some(Since::Position(at(offset))), ..SubscribeOptions::default() }
}

#[test]
fn a_subscription_resumes_after_its_last_message_and_drops_what_is_repeated() {
    let mut exchange = Exchange::default();
    exchange.connected();
    let (mut a, mut answered) = subscribe(&mut exchange, "a");
    assert_eq!(accept(&mut exchange, 10, true), [SubscribeOptions::default()]);
    assert!(answered.try_recv().unwrap().is_ok());
    exchange.received(message("a", Some(12)));
    exchange.received(message("a", Some(17)));
    assert_eq!(read(&mut exchange, &mut a), [12, 17]);

    exchange.disconnected();
    exchange.connected();
    assert_eq!(accept(&mut exchange, 20, true), [since(17)]);
    for offset in [12, 17, 18, 20] {
        exchange.received(message("a", Some(offset)));
    }
    assert_eq!(read(&mut exchange, &mut a), [18, 20]);
}

#[test]
fn a_message_repeated_while_it_waits_for_its_reader_is_delivered_once() {
    let mut exchange = Exchange::default();
    exchange.connected();
    let (mut a, _answered) = subscribe(&mut exchange, "a");
    accept(&mut exchange, 0, true);
    exchange.received(message("a", Some(1)));
    exchange.disconnected();
    exchange.connected();
    assert_eq!(accept(&mut exchange, 1, true), [since(0)]);
    exchange.received(message("a", Some(1)));
    assert_eq!(read(&mut exchange, &mut a), [1]);
}

#[test]
fn a_loss_is_said_before_what_comes_after_it() {
    let mut exchange = Exchange::default();
    exchange.connected();
    let (mut a, _answered) = subscribe(&mut exchange, "a");
    accept(&mut exchange, 1, true);
    exchange.disconnected();
    exchange.connected();
    accept(&mut exchange, 500, false);
    exchange.received(message("a", Some(400)));
    exchange.received(ServerFrame::Lagged { topic: Some("a".parse().unwrap()), missed: 3 });
    exchange.received(message("a", Some(500)));
    assert_eq!(read(&mut exchange, &mut a), [0, 400, 0, 500]);
}

#[test]
fn publishes_under_way_are_lost_unless_they_carry_a_key() {
    let mut exchange = Exchange::default();
    exchange.connected();
    let mut plain = publish(&mut exchange, None);
    let mut keyed = publish(&mut exchange, Some("k"));
    let before = sent(&mut exchange);
    assert_eq!(before.len(), 2);
    let mut unsent = publish(&mut exchange, None);
    exchange.disconnected();
    assert!(matches!(plain.try_recv().unwrap(), Err(Error::ConnectionLost)));
    assert!(keyed.try_recv().is_err(), "still waiting");

    exchange.connected();
    let after = sent(&mut exchange);
    assert_eq!(after.len(), 2, "the keyed one again, and the one that had not been sent");
    assert_eq!(after[0], before[1]);
    for frame in after {
        let receipt = Receipt { topic: "a".parse().unwrap(), position: at(1), duplicate: false };
        exchange.received(ServerFrame::Reply { id: frame.id.unwrap(), reply: Reply::Published(receipt) });
    }
    assert!(keyed.try_recv().unwrap().is_ok());
    assert!(unsent.try_recv().unwrap().is_ok());
}

#[test]
fn subscriptions_are_asked_for_before_publishes_that_waited_for_the_connection() {
    let mut exchange = Exchange::default();
    let _published = publish(&mut exchange, None);
    let (_a, _answered) = subscribe(&mut exchange, "a");
    exchange.connected();
    let frames = sent(&mut exchange);
    assert!(matches!(frames[0].request, Request::Subscribe { .. }));
    assert!(matches!(frames[1].request, Request::Publish { .. }));
}

#[test]
fn a_request_nobody_waits_for_any_more_is_not_sent() {
    let mut exchange = Exchange::default();
    drop(publish(&mut exchange, None));
    exchange.connected();
    assert_eq!(sent(&mut exchange), []);
    assert!(!exchange.awaits_answer());
}

#[test]
fn a_dropped_subscription_is_unsubscribed_and_can_be_made_again() {
    let mut exchange = Exchange::default();
    exchange.connected();
    let (first, _answered) = subscribe(&mut exchange, "a");
    accept(&mut exchange, 1, true);
    let (_refused, mut answered) = subscribe(&mut exchange, "a");
    assert!(matches!(answered.try_recv().unwrap(), Err(Error::AlreadySubscribed(_))));
    drop(first);
    let (mut second, _answered) = subscribe(&mut exchange, "a");
    let frames = sent(&mut exchange);
    assert!(matches!(frames[0].request, Request::Unsubscribe { .. }));
    assert!(matches!(frames[1].request, Request::Subscribe { .. }));
    exchange.received(message("a", Some(2)));
    assert_eq!(read(&mut exchange, &mut second), [0u64; 0], "that one was meant for the first");
}

#[test]
fn a_message_goes_to_every_subscription_that_matches_it() {
    let mut exchange = Exchange::default();
    exchange.connected();
    let (mut plain, _answered) = subscribe(&mut exchange, "a.b");
    let (mut wild, _answered) = subscribe(&mut exchange, "a.*");
    let (mut other, _answered) = subscribe(&mut exchange, "a.c");
    accept(&mut exchange, 0, true);
    exchange.received(message("a.b", Some(1)));
    exchange.received(message("a.b", Some(1)));
    assert_eq!(read(&mut exchange, &mut plain), [1]);
    assert_eq!(read(&mut exchange, &mut wild), [1]);
    assert_eq!(read(&mut exchange, &mut other), [0u64; 0]);
}

#[test]
fn a_subscription_that_is_not_read_is_paused_and_resumed_where_it_was() {
    let mut exchange = Exchange::default();
    exchange.connected();
    let (mut a, _answered) = subscribe(&mut exchange, "a");
    accept(&mut exchange, 0, true);
    for offset in 1..=9 {
        exchange.received(message("a", Some(offset)));
    }
    assert!(exchange.deliver().is_some(), "1024 bytes hold three messages");
    exchange.pause_blocked();
    assert_eq!(exchange.undelivered(), 0);
    let frames = sent(&mut exchange);
    assert!(matches!(&frames[..], [ClientFrame { request: Request::Unsubscribe { .. }, .. }]));
    exchange.received(message("a", Some(10)));
    exchange.sweep();
    assert_eq!(sent(&mut exchange), [], "no room yet");

    assert_eq!(read(&mut exchange, &mut a), [1, 2, 3]);
    exchange.sweep();
    assert_eq!(accept(&mut exchange, 10, true), [since(3)]);
    for offset in 4..=6 {
        exchange.received(message("a", Some(offset)));
    }
    assert_eq!(read(&mut exchange, &mut a), [4, 5, 6]);
}

#[test]
fn what_a_pause_drops_for_good_is_said() {
    let mut exchange = Exchange::default();
    exchange.connected();
    let (mut a, _answered) = subscribe(&mut exchange, "a");
    accept(&mut exchange, 0, true);
    for _ in 1..=4 {
        exchange.received(message("a", None));
    }
    assert!(exchange.deliver().is_some());
    exchange.pause_blocked();
    sent(&mut exchange);
    assert_eq!(read(&mut exchange, &mut a), [u64::MAX; 3]);
    exchange.sweep();
    accept(&mut exchange, 0, true);
    assert_eq!(read(&mut exchange, &mut a), [0]);
}

#[test]
fn a_topic_that_keeps_no_history_any_more_goes_on_live_with_a_loss() {
    let mut exchange = Exchange::default();
    exchange.connected();
    let (mut a, _answered) = subscribe(&mut exchange, "a");
    accept(&mut exchange, 5, true);
    exchange.disconnected();
    exchange.connected();
    let id = sent(&mut exchange)[0].id;
    let message = "no history".to_owned();
    exchange.received(ServerFrame::Error { id, code: ErrorCode::HistoryOff, message });
    assert_eq!(accept(&mut exchange, 9, true), [SubscribeOptions::default()]);
    assert_eq!(read(&mut exchange, &mut a), [0]);
}

#[test]
fn a_refused_subscription_is_an_error_and_leaves_nothing_behind() {
    let mut exchange = Exchange::default();
    exchange.connected();
    let (_a, mut answered) = subscribe(&mut exchange, "a.*");
    let id = sent(&mut exchange)[0].id;
    exchange.received(ServerFrame::Error { id, code: ErrorCode::Forbidden, message: "no".to_owned() });
    let error = answered.try_recv().unwrap().unwrap_err();
    assert!(matches!(error, Error::Rejected { code: ErrorCode::Forbidden, .. }), "{error}");
    exchange.disconnected();
    exchange.connected();
    assert_eq!(sent(&mut exchange), []);
}

#[test]
fn a_reply_to_an_earlier_subscribe_does_not_count_for_a_later_one() {
    let mut exchange = Exchange::default();
    exchange.connected();
    let (first, _answered) = subscribe(&mut exchange, "a");
    let old = sent(&mut exchange)[0].id.unwrap();
    drop(first);
    let (mut second, mut answered) = subscribe(&mut exchange, "a");
    sent(&mut exchange);
    let reply = Reply::Subscribed { pattern: "a".parse().unwrap(), position: Some(at(1)), recovered: true };
    exchange.received(ServerFrame::Reply { id: old, reply });
    exchange.received(message("a", Some(2)));
    assert!(answered.try_recv().is_err());
    assert_eq!(read(&mut exchange, &mut second), [0u64; 0]);
}
