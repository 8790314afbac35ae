//! The Rust client with tokens that end.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use fanwire_client::{Client, Error, Event, Reconnect};
use fanwire_protocol::{CloseCode, ErrorCode};
use fanwire_tests::{AUTH, Broker, PATIENCE, token_for, token_of, unix_seconds};
use serde_json::json;

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime can be made")
}

fn short_lived(seconds: u64) -> String {
    token_of(&json!({"sub": "ann", "exp": unix_seconds() + seconds, "fanwire": {"subscribe": ["a"]}}))
}

#[test]
fn a_client_outlives_its_tokens_and_misses_nothing() {
    let broker = Broker::with_file(AUTH, &[]);
    let url = format!("ws://{}/ws", broker.address());
    runtime().block_on(async {
        let made = Arc::new(AtomicUsize::new(0));
        let counted = made.clone();
        let client = Client::builder()
            .token_source(move || {
                counted.fetch_add(1, Ordering::SeqCst);
                async { Ok::<_, std::convert::Infallible>(short_lived(2)) }
            })
            .reconnect(Reconnect { base: Duration::from_millis(5), ..Reconnect::default() })
            .connect(&url)
            .await
            .unwrap();
        let mut messages = client.subscribe("a").await.unwrap();
        let publisher = Client::builder().token(token_for("bob", &["a"], &[])).connect(&url).await.unwrap();
        let mut number = 0;
        // Until three tokens have come to their end.
        while made.load(Ordering::SeqCst) < 4 {
            publisher.publish("a", number.to_string()).await.unwrap();
            let event = tokio::time::timeout(PATIENCE, messages.next()).await.expect("it comes in time");
            match event {
                Some(Event::Message(message)) => {
                    assert_eq!(message.payload.to_bare(), number.to_string().as_bytes())
                }
                other => panic!("expected message {number}, got {other:?}"),
            }
            number += 1;
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
}

#[test]
fn a_client_with_one_token_ends_with_it_unless_it_shows_the_next() {
    let broker = Broker::with_file(AUTH, &[]);
    let url = format!("ws://{}/ws", broker.address());
    runtime().block_on(async {
        let renewed = Client::builder().token(short_lived(3)).connect(&url).await.unwrap();
        let expected = unix_seconds() + 600;
        let ends = renewed.refresh(short_lived(600)).await.unwrap();
        assert!(ends.is_some_and(|ends| (expected..expected + 5).contains(&ends)), "{ends:?}");
        match renewed.refresh("rubbish").await {
            Err(Error::Rejected { code: ErrorCode::Unauthorized, .. }) => {}
            other => panic!("{other:?}"),
        }
        let client = Client::builder().token(short_lived(2)).connect(&url).await.unwrap();
        let mut messages = client.subscribe("a").await.unwrap();
        match tokio::time::timeout(PATIENCE, messages.next()).await.expect("it ends in time") {
            Some(Event::Ended(Error::Disconnected { code, .. })) => {
                assert_eq!(code, Some(CloseCode::Unauthorized.number()));
            }
            other => panic!("{other:?}"),
        }
        renewed.ping().await.unwrap();
    });
}

#[test]
fn a_source_that_fails_or_gives_bad_tokens_is_an_error() {
    let broker = Broker::with_file(AUTH, &[]);
    let url = format!("ws://{}/ws", broker.address());
    runtime().block_on(async {
        let failing =
            Client::builder().token_source(|| async { Err::<String, _>("the login server is down") });
        match failing.connect(&url).await {
            Err(Error::Token { source }) => assert_eq!(source.to_string(), "the login server is down"),
            other => panic!("{other:?}"),
        }
        let bad = Client::builder().token_source(|| async { Ok::<_, std::io::Error>("rubbish".to_owned()) });
        match bad.connect(&url).await {
            Err(Error::Rejected { code: ErrorCode::Unauthorized, .. }) => {}
            other => panic!("{other:?}"),
        }
    });
}
