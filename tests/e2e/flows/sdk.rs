//! The Rust client over connections that break: every position once, and what is lost is told.

use std::time::Duration;

use fanwire_client::{Client, Encoding, Event, Reconnect, Subscription};
use fanwire_protocol::Since;
use fanwire_tests::{Broker, PATIENCE};

use super::numbers::{Numbers, random};
use super::proxy::CuttingProxy;

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
