//! Answers of history and long polling: bounded in encoded bytes, made as the client takes them, and honest about what was cut.

use std::collections::BTreeSet;
use std::fs;
use std::thread::sleep;
use std::time::Duration;

use fanwire_tests::{Broker, Http, get, nth_offset, post};
use serde_json::{Value, json};

use crate::fixtures::honest::Honest;

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;

/// Publishes text that takes six times its length when it is written in JSON.
fn publish_controls(broker: &Broker, topic: &str, bytes: usize) {
    let text = "\u{1}".repeat(bytes);
    let answer = post(broker.address(), &format!("/topics/{topic}"), "text/plain", text.as_bytes());
    assert_eq!(answer.status, 200, "{}", answer.text());
}

/// The most memory that the broker has had, in bytes.
fn peak_memory(broker: &Broker) -> usize {
    let status = fs::read_to_string(format!("/proc/{}/status", broker.pid())).expect("it is running");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("Linux says so");
    line.trim().trim_end_matches(" kB").trim().parse::<usize>().expect("a number") * KIB
}

fn ask(broker: &Broker, path: &str) -> Http {
    let mut http = Http::connect(broker.address());
    http.send(format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes());
    http
}

fn places(page: &Value) -> Vec<(String, u64)> {
    let messages = page["messages"].as_array().expect("a list");
    let place = |message: &Value| {
        (message["topic"].as_str().expect("text").to_owned(), message["offset"].as_u64().expect("a number"))
    };
    messages.iter().map(place).collect()
}

#[test]
fn one_bound_holds_for_an_answer_over_many_topics_and_the_cursor_continues() {
    let broker = Broker::with(&["limits.outbox_bytes_max=1MiB"]);
    let mut honest = Honest::begin(&broker);
    let topics: Vec<String> = (0..64).map(|number| format!("many.{number}")).collect();
    for topic in &topics {
        publish_controls(&broker, topic, 16 * KIB);
        publish_controls(&broker, topic, 16 * KIB);
    }
    let names: Vec<String> = topics.iter().map(|topic| format!("topic={topic}")).collect();
    let path = format!("/stream?limit=1000&{}", names.join("&"));
    let (mut since, mut seen, mut pages) = ("earliest".to_owned(), BTreeSet::new(), 0);
    loop {
        let answer = get(broker.address(), &format!("{path}&since={since}"));
        assert!(answer.body.len() < 512 * KIB + 6 * 16 * KIB + 4 * KIB, "{} bytes", answer.body.len());
        let page = answer.json();
        assert_eq!(page["gap"], false);
        for place in places(&page) {
            assert!(seen.insert(place.clone()), "{place:?} came twice");
        }
        since = page["cursor"].as_str().expect("text").to_owned();
        pages += 1;
        if page["more"] == false {
            break;
        }
    }
    assert_eq!(seen.len(), 128);
    assert!(pages > 20, "{pages} answers for 12 MiB");
    honest.check();
}

#[test]
fn answers_that_are_not_read_cost_no_more_than_a_piece_each() {
    let broker = Broker::start(&[]);
    publish_controls(&broker, "controls", 1000 * KIB);
    publish_controls(&broker, "controls", 1000 * KIB);
    let before = peak_memory(&broker);
    let mut unread: Vec<Http> = (0..60).map(|_| ask(&broker, "/topics/controls?since=earliest")).collect();
    for http in &mut unread {
        assert_eq!(http.read_head().status, 200);
    }
    let grown = peak_memory(&broker) - before;
    assert!(grown < 64 * MIB, "{} MiB for 60 answers of 6 MiB", grown / MIB);
}

#[test]
fn an_answer_of_which_nothing_is_taken_is_ended_and_a_slow_one_is_not() {
    let broker = Broker::with(&["limits.outbox_bytes_max=128MiB", "limits.write_timeout=2s"]);
    for _ in 0..6 {
        publish_controls(&broker, "long", 1000 * KIB);
    }
    let mut deaf = ask(&broker, "/topics/long?since=earliest");
    assert_eq!(deaf.read_head().status, 200);
    broker.await_metric("fanwire_closes_total{reason=\"too_slow\"}", 1.0);
    let mut slow = ask(&broker, "/topics/long?since=earliest");
    assert_eq!(slow.read_head().status, 200);
    let (mut bytes, mut end) = (0, Vec::new());
    // Longer than the time-out altogether, but never that long without progress.
    for pause in 1..=8 {
        while bytes < pause * 2 * MIB {
            bytes += slow.read_chunk().expect("the answer goes on").len();
        }
        sleep(Duration::from_millis(400));
    }
    while let Some(chunk) = slow.read_chunk() {
        (bytes, end) = (bytes + chunk.len(), chunk);
    }
    assert!(bytes > 6 * 6 * 1000 * KIB, "{bytes} bytes");
    assert!(end.ends_with(b"\"more\":false}"), "the answer is whole");
}

fn nth_offsets(counts: std::ops::RangeInclusive<u64>) -> Vec<u64> {
    counts.map(nth_offset).collect()
}

#[test]
fn the_newest_publications_say_that_older_ones_were_left_out_and_where_they_are() {
    let broker = Broker::with(&["limits.outbox_bytes_max=1MiB"]);
    let address = broker.address();
    for number in 0..50 {
        post(address, "/topics/t", "text/plain", format!("{number} {}", "x".repeat(40 * KIB)).as_bytes());
    }
    let offsets = |page: &Value| places(page).into_iter().map(|(_, offset)| offset).collect::<Vec<_>>();
    let newest = get(address, "/topics/t?limit=10").json();
    assert_eq!((offsets(&newest), &newest["more"]), (nth_offsets(41..=50), &json!(true)));
    let last = get(address, "/topics/t?last=10").json();
    assert_eq!(last, newest);
    // Cut by size, not by the limit: 512 KiB are twelve messages.
    let cut = get(address, "/topics/t?limit=100").json();
    assert_eq!((offsets(&cut), &cut["more"]), (nth_offsets(39..=50), &json!(true)));
    let mut older = Vec::new();
    let mut page = cut;
    let mut until = page["before"].clone();
    while page["more"] == true {
        let until_text = until.as_str().expect("a cut answer says where to continue");
        page = get(address, &format!("/topics/t?reverse=true&limit=100&since={until_text}")).json();
        until = page["cursor"].clone();
        older.extend(offsets(&page));
    }
    older.reverse();
    assert_eq!(older, nth_offsets(1..=38));
    let all = get(address, "/stream?topic=t&topic=u&limit=3").json();
    assert_eq!((offsets(&all), &all["more"]), (nth_offsets(48..=50), &json!(true)));
}

#[test]
fn head_is_answered_like_get_without_a_body() {
    let broker = Broker::start(&[]);
    post(broker.address(), "/topics/h", "text/plain", b"x");
    let got = get(broker.address(), "/topics/h");
    let head = |path: &str, headers: &str| {
        let text = format!("HEAD {path} HTTP/1.1\r\nHost: x\r\n{headers}Connection: close\r\n\r\n");
        let mut http = Http::connect(broker.address());
        http.send(text.as_bytes());
        let head = http.read_head();
        assert_eq!(http.read_raw(), None, "no body");
        head
    };
    let answer = head("/topics/h", "");
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/json")));
    assert_eq!(answer.header("content-length"), Some(got.body.len().to_string().as_str()));
    let answer = head("/stream?topic=h&topic=i&wait=60", "");
    assert_eq!(answer.status, 200, "there is nothing to wait for");
    let answer = head("/topics/h", "Accept: text/event-stream\r\n");
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("text/event-stream")));
    assert_eq!(head("/topics/..h", "").status, 400);
}

#[test]
fn a_parameter_that_does_not_exist_is_refused_with_the_nearest_that_does() {
    let broker = Broker::start(&[]);
    for (query, advice) in [
        ("sicne=earliest", "did you mean 'since'?"),
        ("limit=5000", "from 1 to 1000 (limits.history_limit_max)"),
        ("lst=5", "did you mean 'last'?"),
    ] {
        for path in [format!("/topics/a?{query}"), format!("/stream?topic=a&{query}")] {
            let answer = get(broker.address(), &path);
            answer.check_problem(400, "bad_frame");
            assert!(answer.text().contains(advice), "{path}: {}", answer.text());
        }
    }
}
