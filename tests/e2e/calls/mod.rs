//! `/api/v1` over the real binary: who may call, and what the calls do to sessions on every transport.

mod clearing;
mod direct;
mod disconnect;
mod guard;
mod listing;
mod stats;
mod subscribing;
mod topics;

use std::net::SocketAddr;

use fanwire_tests::{AUTH, Broker, Http, Response, WebSocket, token_for};
use serde_json::{Value, json};

/// An admin key, and its hash as the configuration has it.
const ADMIN: &str = "fwk_YWRtaW4tYWRtaW4tYWRtaW4tYWRtaW4tYWRtaW4tYWRt";
const ADMIN_HASH: &str = "sha256:lJZqVN6QLtsOvKUiIkiQgTeP6TtzzDEK3FpW1SUsShM";

/// A broker with two workers, whose users have tokens, with an admin key.
fn guarded_broker(more: &str) -> Broker {
    let key = format!("[[key]]\nname = 'operator'\nhash = '{ADMIN_HASH}'\nadmin = true\n");
    Broker::with_file(&format!("workers = 2\n{AUTH}{key}{more}"), &[])
}

/// Calls with a credential, if there is one, and a body.
fn call_as(credential: Option<&str>, address: SocketAddr, method: &str, path: &str, body: &str) -> Response {
    let authorization =
        credential.map_or(String::new(), |credential| format!("Authorization: Bearer {credential}\r\n"));
    let mut http = Http::connect(address);
    http.send(
        format!(
            "{method} /api/v1{path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\
             Content-Type: application/json\r\n{authorization}Content-Length: {}\r\n\r\n{body}",
            body.len()
        )
        .as_bytes(),
    );
    http.read()
}

/// Calls as the administrator.
fn call(broker: &Broker, method: &str, path: &str, body: &Value) -> Response {
    let body = if body.is_null() { String::new() } else { body.to_string() };
    call_as(Some(ADMIN), broker.address(), method, path, &body)
}

/// Calls as the administrator, and returns how many sessions it is said to have had its effect on.
fn affected(broker: &Broker, path: &str, body: &Value) -> u64 {
    let answer = call(broker, "POST", path, body);
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()["sessions"].as_u64().expect("a number of sessions")
}

/// A session of `user` who may do everything, and the broker's name for its connection.
fn session_of(broker: &Broker, user: &str) -> (WebSocket, String) {
    let mut socket = WebSocket::open(broker.address(), "/ws");
    let connect =
        json!({"type": "connect", "id": 1, "token": token_for(user, &[">"], &[">"]), "name": "tab"});
    let reply = socket.ask(&connect);
    assert_eq!(reply["type"], "connected", "{reply}");
    let connection = reply["connection"].as_str().expect("a name").to_owned();
    (socket, connection)
}
