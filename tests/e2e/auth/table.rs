//! Identity × rule × way × action: one table of who may do what, tried by every way in and out of the real broker.

use std::collections::BTreeSet;

use fanwire_protocol::Request;
use fanwire_tests::{AUTH, Broker, WebSocket, token_for, token_of, unix_seconds};
use serde_json::json;

use super::routes::{Action, OTHER_URLS, Outcome, WAYS, Way, actions_of};
use crate::fixtures::credentials::{publish_with, session_of};

const RULES: &str = "
[[topic]]
match = 'public.*'
presence = true
publish = 'anyone'
subscribe = 'anyone'
[[topic]]
match = 'known.*'
presence = true
publish = 'authenticated'
subscribe = 'authenticated'
[[topic]]
match = 'granted.*'
presence = true
publish = 'granted'
subscribe = 'granted'
[[topic]]
match = 'news.secret'
presence = true
publish = 'granted'
subscribe = 'granted'
[[topic]]
match = 'news.*'
presence = true
publish = 'granted'
subscribe = 'anyone'
[[topic]]
match = 'users.{user}.>'
presence = true
publish = 'anyone'
subscribe = 'authenticated'
";

/// Who asks, in the order of the columns below.
const IDENTITIES: [&str; 6] = ["anonymous", "ann", "bob", "star", "dotted", "machine"];

/// One row for each topic or pattern: `+` where the identity may, `-` where it may not, in the order of [`IDENTITIES`]; first for
/// publishing, then for subscribing, which goes for replay, history and presence too.
///
/// Ann has no grants. Bob has been granted `granted.a`, `users.ann.>`, `other.a` and `news.secret`. Star is a user called `*`,
/// Dotted one called `ann.inbox`, both without grants. Machine is a token without a user that grants everything.
const TABLE: [(&str, &str, &str); 21] = [
    ("public.a", "++++++", "++++++"),
    ("known.a", "-+++++", "-+++++"),
    ("granted.a", "--+--+", "--+--+"),
    ("granted.b", "-----+", "-----+"),
    ("news.open", "-----+", "++++++"),
    ("news.secret", "--+--+", "--+--+"),
    ("users.ann.inbox", "-++--+", "-++--+"),
    ("users.bob.inbox", "--+--+", "--+--+"),
    ("other.a", "--+--+", "--+--+"),
    ("other.b", "-----+", "-----+"),
    ("$own.a", "------", "------"),
    // Every session may receive its own direct messages.
    ("$direct", "------", "++++++"),
    ("public.*", "", "++++++"),
    ("known.*", "", "-+++++"),
    ("granted.*", "", "-----+"),
    // It would bring the secret news.
    ("news.*", "", "--+--+"),
    ("users.ann.>", "", "-++--+"),
    ("users.*.inbox", "", "-----+"),
    ("users.>", "", "-----+"),
    // What no rule speaks of is in it too.
    ("public.>", "", "-----+"),
    (">", "", "-----+"),
];

fn tokens() -> [Option<String>; 6] {
    let grants = ["granted.a", "users.ann.>", "other.a", "news.secret"];
    let all = json!({"exp": unix_seconds() + 3600, "fanwire": {"publish": [">"], "subscribe": [">"]}});
    [
        None,
        Some(token_for("ann", &[], &[])),
        Some(token_for("bob", &grants, &grants)),
        Some(token_for("*", &[], &[])),
        Some(token_for("ann.inbox", &[], &[])),
        Some(token_of(&all)),
    ]
}

fn broker() -> Broker {
    Broker::with_file(&format!("{AUTH}anonymous = true\n{RULES}"), &[])
}

fn may(column: &str, identity: usize) -> bool {
    column.as_bytes()[identity] == b'+'
}

#[test]
fn every_identity_may_do_by_every_way_what_the_table_says_and_no_more() {
    let broker = broker();
    let tokens = tokens();
    let outcomes: Vec<(usize, Vec<String>)> = std::thread::scope(|scope| {
        let try_all = |(identity, token): (usize, &Option<String>)| {
            let (broker, token) = (&broker, token.clone());
            scope.spawn(move || try_all(broker, identity, token.as_deref()))
        };
        let threads: Vec<_> = tokens.iter().enumerate().map(try_all).collect();
        threads.into_iter().map(|thread| thread.join().expect("nothing panics")).collect()
    });
    let tried: usize = outcomes.iter().map(|(tried, _)| tried).sum();
    let wrong: Vec<String> = outcomes.into_iter().flat_map(|(_, wrong)| wrong).collect();
    assert!(wrong.is_empty(), "{} of {tried} wrong:\n{}", wrong.len(), wrong.join("\n"));
    // Twelve topics by all ways and actions, nine patterns by those that take patterns.
    let all: usize = WAYS.iter().map(|(way, _, _)| way.actions().len()).sum();
    let of_patterns = WAYS.iter().filter(|(way, _, _)| way.actions().contains(&Action::Subscribe)).count();
    assert_eq!(tried, IDENTITIES.len() * (12 * all + 9 * of_patterns), "every cell of the table is tried");
}

/// Tries everything as one identity, and returns how often and what went wrong.
fn try_all(broker: &Broker, identity: usize, token: Option<&str>) -> (usize, Vec<String>) {
    let mut wrong = Vec::new();
    let mut tried = 0;
    for (asked, publish, subscribe) in TABLE {
        let is_pattern = asked.contains(['*', '>']);
        for (way, _, _) in WAYS {
            for action in way.actions() {
                let is_allowed = match action {
                    // Patterns are subscribed to and nothing else, which is another error.
                    Action::Publish | Action::Replay | Action::History | Action::Presence if is_pattern => {
                        continue;
                    }
                    // An identity that may not subscribe cannot open the socket it would publish by.
                    Action::Publish if way == Way::Bare => may(publish, identity) && may(subscribe, identity),
                    Action::Publish => may(publish, identity),
                    Action::Subscribe | Action::Replay | Action::History | Action::Presence => {
                        may(subscribe, identity)
                    }
                };
                tried += 1;
                let outcome = way.attempt(*action, broker.address(), token, asked);
                if !is_as_expected(way, identity, is_allowed, *action, asked, &outcome) {
                    let who = IDENTITIES[identity];
                    wrong.push(format!(
                        "{who} {action:?} {asked} by {way:?}: {outcome:?}, expected {is_allowed}"
                    ));
                }
            }
        }
    }
    (tried, wrong)
}

/// A refusal must fit: `unauthorized` for an unknown client, `forbidden` for a known one.
fn is_as_expected(
    way: Way,
    identity: usize,
    is_allowed: bool,
    action: Action,
    asked: &str,
    outcome: &Outcome,
) -> bool {
    let is_known = identity > 0;
    // Every client may open a bare socket on `$direct`, and no client may publish there.
    let is_always_forbidden =
        asked.starts_with('$') && action == Action::Publish && (way != Way::Bare || asked == "$direct");
    let code = match (way, is_known || is_always_forbidden) {
        (Way::Bare, false) => "4401",
        (Way::Bare, true) => "4403",
        (_, false) => "unauthorized",
        (_, true) => "forbidden",
    };
    match outcome {
        Outcome::Allowed => is_allowed,
        Outcome::Refused(got) => !is_allowed && got == code,
    }
}

#[test]
fn no_delivery_escapes_the_table() {
    let broker = broker();
    let tokens = tokens();
    let machine = tokens[5].as_deref();
    let topics = || TABLE.iter().filter(|(asked, _, _)| !asked.contains(['*', '>', '$']));
    for (identity, token) in tokens.iter().enumerate() {
        let mut socket = match token {
            Some(token) => session_of(broker.address(), token),
            None => WebSocket::open(broker.address(), "/ws"),
        };
        for (number, (asked, _, _)) in TABLE.iter().enumerate() {
            socket.ask(&json!({"type": "subscribe", "id": 100 + number, "topic": asked}));
        }
        for (topic, _, _) in topics() {
            assert_eq!(publish_with(broker.address(), topic, topic, machine).status, 200, "{topic}");
        }
        // Every identity may have this one, so it is the last.
        assert_eq!(publish_with(broker.address(), "public.last", "last", machine).status, 200);
        let mut heard = BTreeSet::new();
        loop {
            let message = socket.read_json();
            match (message["type"].as_str(), message["data"].as_str()) {
                (Some("message"), Some("last")) => break,
                (Some("message"), Some(topic)) => heard.insert(topic.to_owned()),
                _ => continue,
            };
        }
        let expected: BTreeSet<String> = topics()
            .filter(|(_, _, subscribe)| may(subscribe, identity))
            .map(|(topic, _, _)| (*topic).to_owned())
            .collect();
        assert_eq!(heard, expected, "{}", IDENTITIES[identity]);
    }
}

#[test]
fn the_table_knows_every_frame_of_the_protocol() {
    let topic = || "a".parse().expect("a topic");
    let requests = [
        Request::Subscribe { pattern: "a".parse().expect("a pattern"), options: Default::default() },
        Request::Publish {
            topic: topic(),
            payload: fanwire_protocol::Payload::text(""),
            key: None,
            echo: true,
        },
        Request::Presence { topic: topic() },
    ];
    for request in &requests {
        for action in actions_of(request) {
            assert!(Way::Frames.actions().contains(action), "{action:?} is not tried by frames");
        }
    }
}

/// The names that stand between `begin` and `end` at the beginning of lines, up to the first character that is not theirs.
fn names_in<'s>(source: &'s str, begin: &str, end: &str) -> Vec<&'s str> {
    let inside = source.split_once(begin).and_then(|(_, rest)| rest.split_once(end)).expect("it is there").0;
    let lines = inside.lines().map(str::trim).filter(|line| line.starts_with(char::is_uppercase));
    lines.filter_map(|line| line.split(|letter: char| !letter.is_alphanumeric()).next()).collect()
}

#[test]
fn the_table_knows_every_url_and_transport_of_the_broker() {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../broker/src");
    let mut urls = BTreeSet::new();
    for file in std::fs::read_dir(format!("{root}/http")).expect("the folder is there") {
        let path = file.expect("it can be listed").path();
        // The calls of the administrator stand in a table of their own, in `server_api::guard`, and each path of Pusher's REST API is
        // tried with and without its signature in `pusher::events`.
        if path.is_dir() {
            continue;
        }
        let text = std::fs::read_to_string(path).expect("it can be read");
        // The URL may stand on the next line.
        let routes = text.split(".route(").skip(1).filter_map(|rest| rest.trim_start().strip_prefix('"'));
        urls.extend(routes.filter_map(|rest| rest.split('"').next()).map(str::to_owned));
    }
    // The one URL that no router knows, because only a transport serves it.
    urls.insert("/ws".to_owned());
    let known = WAYS.iter().map(|(_, url, _)| *url).chain(OTHER_URLS);
    let known: BTreeSet<String> = known.map(str::to_owned).collect();
    assert_eq!(urls, known, "give each new URL its ways in the table, or name it among the others");
    let source = std::fs::read_to_string(format!("{root}/transports/mod.rs")).expect("it can be read");
    let transports: BTreeSet<&str> = names_in(&source, "enum Wanted {", "}").into_iter().collect();
    let known: BTreeSet<&str> =
        WAYS.iter().map(|(_, _, transport)| *transport).filter(|name| !name.is_empty()).collect();
    assert_eq!(transports, known, "give each new transport its ways in the table");
}
