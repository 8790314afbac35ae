//! What the broker is for: publications from every way in to every way out.

mod behind_proxies;
mod cuts;
mod events;
mod everywhere;
mod gaps;
mod keys;
mod listeners;
mod measuring;
mod moments;
pub(crate) mod numbers;
mod operating;
mod order;
mod patterns;
mod polling;
mod presence;
pub(crate) mod proxy;
mod pusher;
mod real_proxies;
mod resuming;
mod sdk;
mod slow;
mod starting;
mod tls;
mod tls_clients;

use std::net::SocketAddr;

use fanwire_tests::{Response, WebSocket, post};
use serde_json::{Value, json};

/// Publishes text over HTTP and returns the receipt.
fn publish(address: SocketAddr, topic: &str, text: &str) -> Value {
    let answer: Response = post(address, &format!("/topics/{topic}"), "text/plain", text.as_bytes());
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()
}

/// Opens a session and subscribes it.
fn subscribe(address: SocketAddr, topic: &str) -> WebSocket {
    let mut socket = WebSocket::open(address, "/ws");
    let reply = socket.ask(&json!({"type": "subscribe", "id": 1, "topic": topic}));
    assert_eq!(reply["type"], "subscribed", "{reply}");
    socket
}
