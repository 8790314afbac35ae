//! What a changed configuration means for those who are connected: what was let in by a key that is gone is ended, and
//! what is no longer allowed is taken away. All other sessions notice nothing.

use std::path::PathBuf;

use fanwire_tests::{
    AUTH, Broker, Events, WebSocket, eventually, get, temporary, token_for, token_of, unix_seconds,
};
use serde_json::{Value, json};

use super::api_keys::{ADMIN, KEY, hash_of};
use crate::fixtures::credentials::{get_with, publish_with, session_of};

/// A broker whose configuration can be changed while it runs.
struct Changing {
    file: PathBuf,
    broker: Broker,
}

impl Changing {
    fn start(text: &str) -> Self {
        let file = temporary("toml");
        std::fs::write(&file, text).expect("a file can be written");
        let broker = Broker::start(&["--config", file.to_str().expect("a path is text")]);
        Self { file, broker }
    }

    fn change(&self, text: &str) {
        std::fs::write(&self.file, text).expect("a file can be written");
        self.broker.reload();
    }
}

impl Drop for Changing {
    fn drop(&mut self) {
        // A file that is left behind does no harm.
        let _left_behind = std::fs::remove_file(&self.file);
    }
}

/// An API key that gives this pattern to publish to and to read.
fn key_for(pattern: &str) -> String {
    let hash = hash_of(KEY);
    format!("[[key]]\nname = 'shop'\nhash = '{hash}'\npublish = ['{pattern}']\nsubscribe = ['{pattern}']\n")
}

/// A key for a program that reads the metrics.
fn operator() -> String {
    format!("[[key]]\nname = 'operator'\nhash = '{}'\nadmin = true\n", hash_of(ADMIN))
}

fn subscribe(socket: &mut WebSocket, topic: &str) {
    let reply = socket.ask(&json!({"type": "subscribe", "id": 9, "topic": topic}));
    assert_eq!(reply["type"], "subscribed", "{reply}");
}

/// Sees that the session lives and has what it had.
fn check_goes_on(changing: &Changing, socket: &mut WebSocket, topic: &str, publisher: &str) {
    let address = changing.broker.address();
    assert_eq!(publish_with(address, topic, "still here", Some(publisher)).status, 200);
    assert_eq!(socket.read_json()["data"], "still here");
}

#[test]
fn sessions_of_every_transport_end_with_the_secret_they_were_let_in_by() {
    let keys = format!("{}{}", operator(), key_for("a"));
    let changing = Changing::start(&format!("{AUTH}{keys}"));
    let address = changing.broker.address();
    let token = token_for("ann", &["a"], &["a"]);
    let mut staying = session_of(address, KEY);
    subscribe(&mut staying, "a");
    let mut socket = session_of(address, &token);
    subscribe(&mut socket, "a");
    let mut by_url = WebSocket::open(address, &format!("/ws?token={token}"));
    let mut bare = WebSocket::open(address, &format!("/topics/a?token={token}"));
    let mut events = Events::open(address, &format!("/topics/a?token={token}"), "");
    let poll_path = format!("/topics/a?since=earliest&wait=60&token={token}");
    let poll = std::thread::spawn(move || get(address, &poll_path));
    eventually("the poll waits", || {
        let page = get_with(address, "/metrics", &format!("Authorization: Bearer {ADMIN}")).text();
        page.contains("fanwire_connections{transport=\"poll\"} 1\n").then_some(())
    });

    changing.change(&keys);
    for socket in [&mut socket, &mut by_url] {
        let error = socket.read_json();
        assert_eq!((&error["type"], &error["code"]), (&json!("error"), &json!("unauthorized")), "{error}");
        let closing = socket.check_closing(4401);
        assert!(closing["reason"].as_str().is_some_and(|reason| reason.contains("revoked")), "{closing}");
    }
    assert_eq!(bare.read_to_close().0, Some(4401));
    let closing = events.next_event().expect("an event that says why");
    let data: Value = serde_json::from_str(&closing.data).expect("it is JSON");
    assert_eq!(
        (closing.kind.as_str(), &data["code"], &data["error"]),
        ("closing", &json!(4401), &json!("unauthorized"))
    );
    let answer = poll.join().expect("the poll is answered");
    assert_eq!((answer.status, &answer.json()["messages"]), (200, &json!([])));
    publish_with(address, "a", "x", Some(&token)).check_problem(401, "unauthorized");
    check_goes_on(&changing, &mut staying, "a", KEY);
}

#[test]
fn an_api_key_that_is_taken_out_ends_its_sessions_and_one_that_is_changed_sends_them_back() {
    let changing = Changing::start(&format!("{AUTH}{}", key_for("orders.>")));
    let address = changing.broker.address();
    let user = token_for("ann", &["a"], &["a"]);
    let mut staying = session_of(address, &user);
    subscribe(&mut staying, "a");

    let mut changed = session_of(address, KEY);
    changing.change(&format!("{AUTH}{}", key_for("invoices.>")));
    assert_eq!(changed.check_closing(1001)["reconnect"], true);
    assert_eq!(publish_with(address, "invoices.1", "x", Some(KEY)).status, 200);

    let mut revoked = session_of(address, KEY);
    changing.change(AUTH);
    assert_eq!(revoked.read_json()["code"], "unauthorized");
    assert_eq!(revoked.check_closing(4401)["reconnect"], false);
    check_goes_on(&changing, &mut staying, "a", &user);
}

#[test]
fn anonymous_sessions_end_when_a_reload_forbids_them() {
    let open_rule = "[[topic]]\nmatch = 'a'\nsubscribe = 'anyone'\n";
    let changing = Changing::start(&format!("{AUTH}anonymous = true\n{open_rule}"));
    let address = changing.broker.address();
    let user = token_for("ann", &["a"], &[]);
    let mut anonymous = WebSocket::open(address, "/ws");
    subscribe(&mut anonymous, "a");
    // The same again changes nothing.
    changing.change(&format!("{AUTH}anonymous = true\n{open_rule}# again\n"));
    check_goes_on(&changing, &mut anonymous, "a", &user);
    changing.change(&format!("{AUTH}{open_rule}"));
    assert_eq!(anonymous.read_json()["code"], "unauthorized");
    anonymous.check_closing(4401);
}

#[test]
fn a_subscription_ends_when_a_changed_rule_does_not_allow_it_any_more() {
    let rules = |access: &str| {
        format!(
            "{AUTH}[[topic]]\nmatch = 'a'\nsubscribe = '{access}'\n\
             [[topic]]\nmatch = 'b'\nsubscribe = 'authenticated'\n"
        )
    };
    let changing = Changing::start(&rules("authenticated"));
    let address = changing.broker.address();
    let token = token_for("ann", &["a", "b"], &[]);
    let mut socket = session_of(address, &token);
    subscribe(&mut socket, "a");
    subscribe(&mut socket, "b");
    let mut events = Events::open(address, &format!("/topics/a?token={token}"), "");
    changing.change(&rules("granted"));
    let ended = socket.read_json();
    assert_eq!(
        (&ended["type"], &ended["topic"], &ended["code"]),
        (&json!("unsubscribed"), &json!("a"), &json!("forbidden")),
        "{ended}"
    );
    let closing = events.next_event().expect("an event that says why");
    let data: Value = serde_json::from_str(&closing.data).expect("it is JSON");
    assert_eq!((closing.kind.as_str(), &data["code"]), ("closing", &json!(4403)));
    check_goes_on(&changing, &mut socket, "b", &token);
    assert_eq!(publish_with(address, "a", "not for her", Some(&token)).status, 200);
    check_goes_on(&changing, &mut socket, "b", &token);
}

#[test]
fn a_subscription_with_a_token_of_its_own_ends_with_the_key_of_that_token() {
    let changing = Changing::start(&format!("{AUTH}{}", key_for("b")));
    let address = changing.broker.address();
    let exp = unix_seconds() + 600;
    let for_a = token_of(&json!({"exp": exp, "fanwire": {"subscribe": ["a"]}}));
    let mut socket = session_of(address, KEY);
    subscribe(&mut socket, "b");
    let reply = socket.ask(&json!({"type": "subscribe", "id": 2, "topic": "a", "token": for_a}));
    assert_eq!(reply["type"], "subscribed", "{reply}");
    changing.change(&key_for("b"));
    let ended = socket.read_json();
    assert_eq!((&ended["type"], &ended["topic"]), (&json!("unsubscribed"), &json!("a")), "{ended}");
    check_goes_on(&changing, &mut socket, "b", KEY);
}
