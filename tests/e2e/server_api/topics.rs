//! Topics as they are listed and described, from the outside.

use std::time::{Duration, Instant};

use fanwire_tests::{Broker, DataDirectory, Events, Http, get, post};
use serde_json::{Value, json};

use crate::fixtures::server_api::call_as;

fn ask(broker: &Broker, path: &str) -> Value {
    let answer = call_as(None, broker.address(), "GET", path, "");
    assert_eq!(answer.status, 200, "{path}: {}", answer.text());
    answer.json()
}

fn names(page: &Value) -> Vec<&str> {
    let topics = page["topics"].as_array().expect("a list").iter();
    topics.map(|topic| topic["topic"].as_str().expect("a name")).collect()
}

/// The first answer in which `is_there` holds: a list may be a second old.
fn list_when(broker: &Broker, query: &str, is_there: impl Fn(&Value) -> bool) -> Value {
    fanwire_tests::eventually("the list shows it", || {
        let page = ask(broker, &format!("/topics{query}"));
        is_there(&page).then_some(page)
    })
}

#[test]
fn topics_are_listed_searched_and_sorted() {
    let broker = Broker::start(&[]);
    for (topic, count) in [("chat.a", 1), ("chat.b", 3), ("news", 2)] {
        for _ in 0..count {
            assert_eq!(
                post(broker.address(), &format!("/topics/{topic}"), "text/plain", b"hello").status,
                200
            );
        }
    }
    let _here = Events::open(broker.address(), "/topics/news", "");
    let _everything = Events::open(broker.address(), "/topics/chat.*", "");
    let page = list_when(&broker, "", |page| page["topics"][2]["subscribers"] == 1);
    assert_eq!((names(&page), &page["total"]), (vec!["chat.a", "chat.b", "news"], &json!(3)), "{page}");
    let first = &page["topics"][0];
    assert_eq!(
        (&first["subscribers"], &first["messages"]),
        (&json!(1), &json!(1)),
        "a pattern counts: {page}"
    );
    assert!(first["bytes"].as_u64() > Some(5) && first["ts"].as_u64() > Some(1_600_000_000_000), "{page}");
    assert_eq!(names(&ask(&broker, "/topics?sort=messages&order=desc")), ["chat.b", "news", "chat.a"]);
    let found = ask(&broker, "/topics?search=AT.");
    assert_eq!((names(&found), &found["matching"]), (vec!["chat.a", "chat.b"], &json!(2)), "{found}");
    assert_eq!(names(&ask(&broker, "/topics?prefix=n")), ["news"]);
}

#[test]
fn a_topic_is_described_whether_it_exists_or_not() {
    let rules = "[[topic]]\nmatch = 'users.{user}.>'\n[[topic]]\nmatch = 'rooms.>'\nhistory = { messages = 7, ttl = '1h' }\npresence = true\nslow = 'skip'\nrate = 5\n";
    let broker = Broker::with_file(rules, &[]);
    assert_eq!(ask(&broker, "/topics/users.ann.inbox")["rule"], "users.{user}.>");
    let none = ask(&broker, "/topics/rooms.blue");
    assert_eq!(
        (&none["exists"], &none["messages"], &none["offset"]),
        (&json!(false), &json!(0), &Value::Null)
    );
    assert_eq!(
        (&none["rule"], &none["slow"], &none["presence"]),
        (&json!("rooms.>"), &json!("skip"), &json!(true))
    );
    assert_eq!(
        (&none["history"], &none["rate"]["per_second"]),
        (&json!({"messages": 7, "ttl_ms": 3_600_000}), &json!(5))
    );
    assert_eq!(names(&ask(&broker, "/topics")), Vec::<&str>::new(), "asking makes no topic");
    let receipt = post(broker.address(), "/topics/rooms.blue", "text/plain", b"hello").json();
    let _listener = Events::open(broker.address(), "/topics/rooms.blue", "");
    let _pattern = Events::open(broker.address(), "/topics/rooms.%3E", "");
    let some = ask(&broker, "/topics/rooms.blue");
    assert_eq!((&some["epoch"], &some["offset"]), (&receipt["epoch"], &receipt["offset"]), "{some}");
    assert_eq!(
        (&some["subscribers"], &some["pattern_subscribers"], &some["members"]),
        (&json!(2), &json!(1), &json!(1))
    );
    assert_eq!((&some["exists"], &some["messages"]), (&json!(true), &json!(1)), "{some}");
}

#[test]
fn a_durable_topic_is_described_from_its_disk() {
    let directory = DataDirectory::new();
    let rules = "[[topic]]\nmatch = 'kept.>'\ndurable = true\nhistory = { messages = 10 }\n";
    let broker = directory.serve(rules);
    let receipt = post(broker.address(), "/topics/kept.a", "text/plain", b"hello").json();
    let broker = directory.restart(broker, rules);
    let details = ask(&broker, "/topics/kept.a");
    assert_eq!(
        (&details["epoch"], &details["offset"], &details["durable"]),
        (&receipt["epoch"], &receipt["offset"], &json!(true)),
        "{details}"
    );
}

#[test]
fn what_is_asked_for_badly_is_said() {
    let broker = Broker::start(&[]);
    for (query, name) in [
        ("sort=colour", "sort"),
        ("order=up", "order"),
        ("after=x", "after"),
        ("after=x:a", "after"),
        ("limit=0", "limit"),
    ] {
        let answer = call_as(None, broker.address(), "GET", &format!("/topics?{query}"), "");
        answer.check_problem(400, "bad_frame");
        assert!(answer.text().contains(&format!("{name}: expected")), "{}", answer.text());
    }
    for topic in ["a..b", "a.*", "%FF", "a%20b", &"x".repeat(300)] {
        let answer = call_as(None, broker.address(), "GET", &format!("/topics/{topic}"), "");
        assert_eq!(answer.status, 400, "{topic}: {}", answer.text());
    }
}

#[test]
fn a_hundred_thousand_topics_are_paged_without_holding_up_a_worker() {
    let broker = Broker::with(&["workers=1", "limits.batch_messages_max=10000"]);
    let mut http = Http::connect(broker.address());
    for batch in 0..10 {
        let entries: Vec<String> =
            (0..10_000).map(|number| format!(r#"{{"topic":"t.{batch}.{number:04}","data":1}}"#)).collect();
        let body = format!(r#"{{"messages":[{}]}}"#, entries.join(","));
        let head = "POST /publish HTTP/1.1\r\nHost: x\r\nContent-Type: application/json";
        http.send(format!("{head}\r\nContent-Length: {}\r\n\r\n{body}", body.len()).as_bytes());
        assert_eq!(http.read().status, 200);
    }
    let pages = std::thread::scope(|scope| {
        let paging = scope.spawn(|| {
            let (mut seen, mut path) = (0, "/topics?limit=1000&sort=newest&order=desc".to_owned());
            let mut longest = Duration::ZERO;
            for _ in 0..5 {
                let asked = Instant::now();
                let page = ask(&broker, &path);
                longest = longest.max(asked.elapsed());
                assert_eq!(page["total"], 100_000);
                seen += names(&page).len();
                let next = page["next"].as_str().expect("there is more").replace(':', "%3A");
                path = format!("/topics?limit=1000&sort=newest&order=desc&after={next}");
            }
            (seen, longest)
        });
        // The one worker goes on answering others meanwhile.
        let mut slowest = Duration::ZERO;
        while !paging.is_finished() {
            let asked = Instant::now();
            assert_eq!(get(broker.address(), "/healthz").status, 200);
            slowest = slowest.max(asked.elapsed());
        }
        let (seen, longest) = paging.join().expect("it does not panic");
        // A request that waited for a page would take as long as the page.
        let patience = Duration::from_secs(2).max(longest / 2);
        assert!(slowest < patience, "a request took {slowest:?}, and a page {longest:?}");
        seen
    });
    assert_eq!(pages, 5000);
    let found = ask(&broker, "/topics?search=9.99&limit=10");
    assert_eq!((&found["matching"], names(&found)[0]), (&json!(100), "t.9.9900"), "{found}");
}
