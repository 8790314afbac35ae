//! Only an administrator gets through, whatever the request: a table of all calls, held against the broker's source.

use std::collections::BTreeSet;

use fanwire_tests::{AUTH, Broker, token_for, token_of, unix_seconds};
use serde_json::json;

use crate::fixtures::server_api::{ADMIN, call_as, guarded_broker};

/// Every call, by the methods it takes.
const CALLS: [(&str, &str); 14] = [
    ("GET", "/stats"),
    ("GET", "/topics"),
    ("GET", "/topics/{topic}"),
    ("GET", "/sessions"),
    ("GET", "/sessions/{connection}"),
    ("POST", "/sessions/{connection}/disconnect"),
    ("POST", "/sessions/{connection}/send"),
    ("POST", "/sessions/{connection}/subscribe"),
    ("POST", "/sessions/{connection}/unsubscribe"),
    ("POST", "/users/{user}/disconnect"),
    ("POST", "/users/{user}/send"),
    ("POST", "/users/{user}/subscribe"),
    ("POST", "/users/{user}/unsubscribe"),
    ("DELETE", "/topics/{topic}/history"),
];

#[test]
fn the_table_knows_every_call_of_the_broker() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../broker/src/http/api/mod.rs");
    let source = std::fs::read_to_string(file).expect("it can be read");
    let routes: BTreeSet<&str> = source
        .split(".route(")
        .skip(1)
        .filter_map(|rest| rest.trim_start().strip_prefix('"')?.split('"').next())
        .collect();
    let known: BTreeSet<&str> = CALLS.iter().map(|(_, path)| *path).collect();
    assert_eq!(routes, known, "give each new call its row");
}

#[test]
fn every_call_is_for_the_administrator() {
    let broker = guarded_broker("");
    let address = broker.address();
    let machine =
        token_of(&json!({"exp": unix_seconds() + 3600, "fanwire": {"publish": [">"], "subscribe": [">"]}}));
    let user = token_for("ann", &[">"], &[">"]);
    let identities = [
        (None, 401, "unauthorized"),
        (Some("rubbish"), 401, "unauthorized"),
        (Some(&ADMIN[..30]), 401, "unauthorized"),
        (Some(user.as_str()), 403, "forbidden"),
        (Some(machine.as_str()), 403, "forbidden"),
    ];
    let unknown = [("GET", "/nothing"), ("PUT", "/sessions")];
    for (method, path) in CALLS.into_iter().chain(unknown) {
        let path = path.replace("{connection}", "zz").replace("{user}", "ann").replace("{topic}", "a");
        for (credential, status, code) in identities {
            call_as(credential, address, method, &path, "").check_problem(status, code);
        }
        let answer = call_as(Some(ADMIN), address, method, &path, "");
        assert!(![401, 403].contains(&answer.status), "{method} {path}: {}", answer.text());
    }
    let counted = |name: &str| {
        let header = format!("Authorization: Bearer {ADMIN}\r\n");
        let request = format!("GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{header}\r\n");
        let page = fanwire_tests::request(address, &request).text();
        page.lines().find_map(|line| line.strip_prefix(name)).map(|count| count.trim().to_owned())
    };
    for (call, outcome) in [("disconnect", "refused"), ("clear_history", "done"), ("send", "refused")] {
        let name = format!("fanwire_api_requests_total{{operation=\"{call}\",outcome=\"{outcome}\"}}");
        assert!(counted(&name).is_some_and(|count| count != "0"), "{name}");
    }
    assert!(!broker.log().contains(ADMIN), "a key is in the log");
}

#[test]
fn anonymous_guests_may_not_call() {
    let broker = Broker::with_file(&format!("{AUTH}anonymous = true\n"), &[]);
    call_as(None, broker.address(), "GET", "/sessions", "").check_problem(401, "unauthorized");
}

#[test]
fn an_open_broker_answers_every_caller() {
    let broker = Broker::start(&[]);
    let answer = call_as(None, broker.address(), "GET", "/sessions", "");
    assert_eq!(answer.status, 200, "{}", answer.text());
}

#[test]
fn what_is_no_call_is_said_to_be_none() {
    let broker = guarded_broker("");
    call_as(Some(ADMIN), broker.address(), "GET", "/nothing", "").check_problem(404, "not_found");
    call_as(Some(ADMIN), broker.address(), "PUT", "/sessions", "").check_problem(405, "method_not_allowed");
}
