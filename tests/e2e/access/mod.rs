//! Who may do what, over the real binary: credentials, grants and their ends.

mod endings;
mod hosts;
mod key_set;
mod keys;
mod reloading;
mod sdk;
mod starting;
mod table;
mod tokens;
mod ways;

use std::net::SocketAddr;

use fanwire_tests::{Http, Response, WebSocket};
use serde_json::json;

/// Asks with one more header.
fn get_with(address: SocketAddr, path: &str, header: &str) -> Response {
    fanwire_tests::request(
        address,
        &format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{header}\r\n\r\n"),
    )
}

/// Publishes a text with a token, if there is one.
fn publish_with(address: SocketAddr, topic: &str, text: &str, token: Option<&str>) -> Response {
    let authorization = token.map_or(String::new(), |token| format!("Authorization: Bearer {token}\r\n"));
    let mut http = Http::connect(address);
    http.send(
        format!(
            "POST /topics/{topic} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: text/plain\r\n\
             {authorization}Content-Length: {}\r\n\r\n{text}",
            text.len()
        )
        .as_bytes(),
    );
    http.read()
}

/// Opens a session and connects it with a token.
fn session_of(address: SocketAddr, token: &str) -> WebSocket {
    let mut socket = WebSocket::open(address, "/ws");
    let reply = socket.ask(&json!({"type": "connect", "id": 1, "token": token}));
    assert_eq!(reply["type"], "connected", "{reply}");
    socket
}
