//! The Rust client over connections that break: every position once, and what is lost is told.

use std::time::Duration;

use fanwire_client::{Client, Encoding, Event, Reconnect, Subscription};
use fanwire_protocol::Since;
use fanwire_tests::{Broker, PATIENCE, SECRET, token_for};
use serde_json::Value;

use crate::fixtures::cutting_proxy::CuttingProxy;
use crate::fixtures::numbers::{Numbers, random};

/// How many numbers are published at once, and how often.
const BURST: usize = 100;
const BURSTS: usize = 30;

async fn next(messages: &mut Subscription) -> Event {
    let event = tokio::time::timeout(PATIENCE, messages.next()).await;
    event.expect("something comes in time").expect("the subscription goes on")
}

async fn connect(proxy: &CuttingProxy, encoding: Encoding) -> Client {
    let reconnect =
        Reconnect { base: Duration::from_millis(2), cap: Duration::from_millis(20), attempts_max: None };
    let url = format!("ws://{}/ws", proxy.address());
    let deadline = tokio::time::Instant::now() + PATIENCE;
    loop {
        // The first connection is tried once only, and may be one that the proxy cuts at once.
        match Client::builder().encoding(encoding).reconnect(reconnect).connect(&url).await {
            Ok(client) => return client,
            Err(error) => assert!(tokio::time::Instant::now() < deadline, "no connection held: {error}"),
        }
    }
}

/// Follows a topic that keeps `kept` publications over a proxy that cuts, and returns the numbers and `None` for each loss.
fn follow(encoding: Encoding, kept: usize) -> (Vec<Option<usize>>, usize) {
    let mut random = random();
    let rule = format!("[[topic]]\nmatch = 'sdk'\nhistory = {{ messages = {kept} }}\n");
    let broker = Broker::with_file(&rule, &["--workers", "2"]);
    let proxy = CuttingProxy::begin(broker.address(), 12_000, random.fork());
    let mut numbers = Numbers::begin(broker.address(), &["sdk"]);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let mut heard = Vec::new();
    runtime.block_on(async {
        let client = connect(&proxy, encoding).await;
        let mut messages = client.subscribe("sdk").since(Since::Earliest).await.expect("it may");
        let mut next_burst = 0;
        loop {
            let last = heard.iter().rev().find_map(|number| *number).map_or(0, |last: usize| last + 1);
            if last == BURST * BURSTS {
                break;
            }
            if last >= next_burst && numbers.allowed < BURST * BURSTS {
                numbers.allow(BURST);
                next_burst = numbers.allowed - random.usize(1..BURST);
            }
            heard.push(match next(&mut messages).await {
                Event::Message(message) => {
                    Some(String::from_utf8_lossy(&message.payload.to_bare()).parse().expect("a number"))
                }
                Event::Lost { .. } => None,
                other => panic!("the subscription ended: {other:?}"),
            });
        }
        client.close().await;
    });
    numbers.finish();
    (heard, proxy.cuts())
}

#[test]
fn every_position_comes_once_however_often_the_connection_is_cut() {
    for encoding in [Encoding::Json, Encoding::MessagePack] {
        let (heard, cuts) = follow(encoding, 10_000);
        assert!(heard.iter().copied().eq((0..BURST * BURSTS).map(Some)), "{encoding:?}: {heard:?}");
        assert!(cuts >= 5, "{encoding:?}: only {cuts} cuts, which proves nothing");
    }
}

#[test]
fn a_loss_is_told_where_it_happened_and_nowhere_else() {
    let (heard, cuts) = follow(Encoding::Json, 30);
    assert!(cuts >= 5, "only {cuts} cuts, which proves nothing");
    let (mut expected, mut is_told) = (0, false);
    for number in heard {
        match number {
            None => is_told = true,
            Some(number) => {
                assert!(number >= expected, "{number} came again");
                assert_eq!(is_told, number > expected, "{number} came where {expected} was expected");
                (expected, is_told) = (number + 1, false);
            }
        }
    }
}

/// How many publications are made over the rough proxy, and how many at once.
const OWN: usize = 400;
const OWN_AT_ONCE: usize = 8;

#[test]
fn what_is_published_and_heard_over_a_rough_network_is_there_once() {
    for encoding in [Encoding::Json, Encoding::MessagePack] {
        let mut random = random();
        let rule = "[[topic]]\nmatch = 'rough'\nhistory = { messages = 10000 }\n";
        let broker = Broker::with_file(rule, &["--workers", "2"]);
        let proxy = CuttingProxy::begin_rough(broker.address(), 8_000, random.fork());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let (receipts, heard) = runtime.block_on(async {
            let (publisher, reader) = (connect(&proxy, encoding).await, connect(&proxy, encoding).await);
            let subscribe = || reader.subscribe("rough").since(Since::Earliest).into_future();
            let mut messages =
                tokio::time::timeout(PATIENCE, subscribe()).await.expect("in time").expect("it may");
            let publish = async {
                let mut receipts = Vec::new();
                for first in (0..OWN).step_by(OWN_AT_ONCE) {
                    let publishes: Vec<_> = (first..first + OWN_AT_ONCE)
                        .map(|number| publisher.publish("rough", number.to_string()).into_future())
                        .map(tokio::spawn)
                        .collect();
                    for publish in publishes {
                        receipts.push(publish.await.expect("it does not panic").expect("it is accepted"));
                    }
                }
                receipts
            };
            let hear = async {
                let mut heard = Vec::new();
                while heard.len() < OWN {
                    match next(&mut messages).await {
                        Event::Message(message) => heard.push(message.position.expect("it has one")),
                        other => panic!("{other:?}"),
                    }
                }
                heard
            };
            tokio::join!(publish, hear)
        });
        assert!(proxy.cuts() >= 10, "only {} cuts, which proves nothing", proxy.cuts());
        let duplicates = receipts.iter().filter(|receipt| receipt.duplicate).count();
        println!("{} cuts, {duplicates} publications asked for again", proxy.cuts());
        let held = fanwire_tests::get(broker.address(), "/topics/rough?since=earliest&limit=1000").json();
        let held: Vec<&Value> = held["messages"].as_array().expect("a list").iter().collect();
        let offsets: Vec<u64> =
            held.iter().map(|message| message["offset"].as_u64().expect("a number")).collect();
        assert!(
            heard.iter().map(|position| position.offset).eq(offsets.iter().copied()),
            "each once, in order"
        );
        let mut numbers: Vec<usize> = held
            .iter()
            .map(|message| message["data"].as_str().expect("text").parse().expect("a number"))
            .collect();
        for (number, receipt) in receipts.iter().enumerate() {
            let place = offsets.iter().position(|offset| *offset == receipt.position.offset);
            assert_eq!(place.map(|place| numbers[place]), Some(number), "the receipt names its publication");
        }
        numbers.sort_unstable();
        assert!(numbers.into_iter().eq(0..OWN), "everything acknowledged is there once");
    }
}

#[test]
fn a_client_with_a_token_sees_who_comes_and_goes_and_goes_on_under_a_new_one() {
    let text = format!(
        "[auth]\nsecret = \"{SECRET}\"\n[[topic]]\nmatch = 'room.>'\npresence = true\n\
         publish = 'authenticated'\nsubscribe = 'authenticated'\n"
    );
    let broker = Broker::with_file(&text, &["--workers", "2"]);
    let url = format!("ws://{}/ws", broker.address());
    let client_of = async |user: &str| {
        let builder = Client::builder().token(token_for(user, &[], &[]));
        builder.connect(&url).await.expect("the token is good")
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let ann = client_of("ann").await;
        let mut room = ann.subscribe("room.1").await.expect("she may");
        let bob = client_of("bob").await;
        let visit = bob.subscribe("room.1").await.expect("he may");
        let Event::Join { topic, member } = next(&mut room).await else { panic!("a join") };
        assert_eq!((topic.as_str(), member.user.as_str()), ("room.1", "bob"));
        let there = ann.presence("room.1").await.expect("she may ask");
        let mut users: Vec<&str> = there.members.iter().map(|member| member.user.as_str()).collect();
        users.sort_unstable();
        assert_eq!((users, there.more), (vec!["ann", "bob"], false));
        drop(visit);
        let Event::Leave { member, .. } = next(&mut room).await else { panic!("a leave") };
        assert_eq!(member.user, "bob");
        assert!(ann.refresh(token_for("ann", &[], &[])).await.expect("it is good").is_some());
        assert!(ann.refresh("nonsense").await.is_err());
        assert!(bob.presence("elsewhere").await.is_err());
    });
}
