//! History over HTTP, long polling, and `/stream`.

use std::time::{Duration, Instant};

use fanwire_tests::{Broker, Events, get, nth_offset};
use serde_json::{Value, json};

use crate::fixtures::texts::publish;

fn data(answer: &Value) -> Vec<&str> {
    let messages = answer["messages"].as_array().expect("a list of messages");
    messages.iter().map(|message| message["data"].as_str().expect("text")).collect()
}

fn cursor(answer: &Value) -> &str {
    answer["cursor"].as_str().expect("a cursor")
}

#[test]
fn history_is_read_page_by_page_with_the_cursor() {
    let broker = Broker::start(&[]);
    let address = broker.address();
    let empty = get(address, "/topics/h").json();
    assert_eq!((data(&empty).len(), &empty["gap"], &empty["more"]), (0, &json!(false), &json!(false)));
    for number in 0..5 {
        publish(address, "h", &number.to_string());
    }
    assert_eq!(
        data(&get(address, &format!("/topics/h?since={}", cursor(&empty))).json()).len(),
        5,
        "from before the first"
    );
    let newest = get(address, "/topics/h?limit=2").json();
    assert_eq!((data(&newest), &newest["more"]), (vec!["3", "4"], &json!(true)));
    let first = get(address, "/topics/h?since=earliest&limit=3").json();
    assert_eq!(
        (data(&first), &first["more"], &first["gap"]),
        (vec!["0", "1", "2"], &json!(true), &json!(false))
    );
    let second = get(address, &format!("/topics/h?limit=3&since={}", cursor(&first))).json();
    assert_eq!((data(&second), &second["more"]), (vec!["3", "4"], &json!(false)));
    let last = get(address, &format!("/topics/h?since={}", cursor(&second))).json();
    assert_eq!((data(&last).len(), cursor(&last)), (0, cursor(&second)));
    let message = &first["messages"][0];
    assert!(
        message["ts"].is_u64() && message["epoch"].is_string() && message["offset"] == nth_offset(1),
        "{message}"
    );
}

#[test]
fn a_gap_is_told_exactly_when_there_is_one() {
    let broker = Broker::with_file("[[topic]]\nmatch = 'short'\nhistory = { messages = 2 }\n", &[]);
    let address = broker.address();
    let start = get(address, "/topics/short").json();
    publish(address, "short", "1");
    let after_one = get(address, "/topics/short").json();
    publish(address, "short", "2");
    publish(address, "short", "3");
    for (since, gap) in [
        (cursor(&start), true),
        (cursor(&after_one), false),
        ("earliest", false),
        ("abcdef:1", true),
        ("abcdef:18446744073709551615", true),
    ] {
        let answer = get(address, &format!("/topics/short?since={since}")).json();
        assert_eq!((data(&answer), &answer["gap"]), (vec!["2", "3"], &json!(gap)), "{since}");
        let mut events = Events::open(address, "/topics/short", &format!("Last-Event-ID: {since}\r\n"));
        if gap {
            assert_eq!(events.next_event().map(|event| event.kind), Some("gap".to_owned()), "{since}");
        }
        assert_eq!((events.next_data().as_str(), events.next_data().as_str()), ("2", "3"), "{since}");
    }
}

#[test]
fn a_long_poll_answers_at_once_or_on_arrival_or_when_the_time_is_up() {
    let broker = Broker::start(&["--workers", "2"]);
    let address = broker.address();
    let started = Instant::now();
    let nothing = get(address, "/topics/p?wait=0.3").json();
    assert_eq!(data(&nothing).len(), 0);
    assert!(started.elapsed() >= Duration::from_millis(300));
    let path = format!("/topics/p?wait=60&since={}", cursor(&nothing));
    let polls: Vec<_> = (0..4)
        .map(|_| (path.clone(), address))
        .map(|(path, address)| std::thread::spawn(move || get(address, &path).json()))
        .collect();
    broker.await_metric("fanwire_connections{transport=\"poll\"}", 4.0);
    publish(address, "p", "now");
    for poll in polls {
        let answer = poll.join().expect("the poll is answered");
        assert_eq!((data(&answer), &answer["gap"]), (vec!["now"], &json!(false)));
        assert_eq!(data(&get(address, &format!("/topics/p?since={}", cursor(&answer))).json()).len(), 0);
    }
    assert_eq!(data(&get(address, &path).json()), ["now"], "at once, as something newer is there");
    broker.await_metric("fanwire_subscriptions", 0.0);
}

#[test]
fn a_chain_of_polls_loses_and_doubles_nothing_while_others_publish() {
    let broker = Broker::start(&["--workers", "2"]);
    let address = broker.address();
    const COUNT: usize = 400;
    let start = get(address, "/stream?topic=chain.a&topic=chain.b").json();
    let publisher = std::thread::spawn(move || {
        for number in 0..COUNT {
            publish(address, if number % 3 == 0 { "chain.a" } else { "chain.b" }, &number.to_string());
        }
    });
    let mut since = cursor(&start).to_owned();
    let mut heard: Vec<usize> = Vec::new();
    while heard.len() < COUNT {
        let answer =
            get(address, &format!("/stream?topic=chain.a&topic=chain.b&wait=10&limit=7&since={since}"))
                .json();
        assert_eq!(answer["gap"], false);
        heard.extend(data(&answer).iter().map(|text| text.parse::<usize>().expect("a number")));
        cursor(&answer).clone_into(&mut since);
    }
    publisher.join().expect("it publishes all");
    for rest in [0, 1, 2] {
        let own: Vec<_> =
            heard.iter().filter(|number| usize::from(**number % 3 == 0) == usize::from(rest == 0)).collect();
        assert!(own.is_sorted(), "each topic's own order is kept");
    }
    heard.sort_unstable();
    assert_eq!(heard, (0..COUNT).collect::<Vec<_>>());
}

#[test]
fn a_waiting_poll_hears_the_next_publication_each_time() {
    let broker = Broker::start(&["--workers", "2"]);
    let address = broker.address();
    let start = get(address, "/topics/next.a").json();
    let mut cursors = vec![cursor(&start).to_owned(); 4];
    for round in 0..60 {
        let polls: Vec<_> = cursors
            .iter()
            .map(|cursor| format!("/topics/next.a?wait=10&since={cursor}"))
            .map(|path| std::thread::spawn(move || get(address, &path).json()))
            .collect();
        // Some rounds wait until all polls wait, some do not: both ways it is heard at once.
        if round % 2 == 0 {
            broker.await_metric("fanwire_connections{transport=\"poll\"}", 4.0);
        }
        publish(address, "next.a", &round.to_string());
        cursors.clear();
        for poll in polls {
            let answer = poll.join().expect("the poll is answered");
            assert_eq!((data(&answer), &answer["gap"]), (vec![round.to_string().as_str()], &json!(false)));
            cursors.push(cursor(&answer).to_owned());
        }
    }
}

#[test]
fn the_loop_of_long_polling_works_on_a_pattern_too() {
    let broker = Broker::start(&["--workers", "2"]);
    let address = broker.address();
    let start = get(address, "/topics/loop.*?wait=0").json();
    assert_eq!((data(&start).len(), &start["gap"]), (0, &json!(false)));
    let path = format!("/topics/loop.*?wait=10&since={}", cursor(&start));
    let poll = std::thread::spawn(move || get(address, &path).json());
    // Not waited for with a metric, because a broker that answers at once would never show that the poll waits.
    fanwire_tests::eventually("the poll listens, or has been answered", || {
        (poll.is_finished() || broker.metric("fanwire_subscriptions") > 0.0).then_some(())
    });
    publish(address, "loop.a", "heard");
    let answer = poll.join().expect("the poll is answered");
    assert_eq!(
        (data(&answer), &answer["gap"]),
        (vec!["heard"], &json!(true)),
        "what came in between is not held"
    );
}

#[test]
fn a_page_is_bounded_in_bytes_and_says_that_there_is_more() {
    let broker = Broker::with(&["limits.outbox_bytes_max=2MiB"]);
    let address = broker.address();
    let payload = |number: usize| format!("{number} {}", "x".repeat(200_000));
    (0..20).for_each(|number| drop(publish(address, "big", &payload(number))));
    let (mut since, mut heard, mut pages) = ("earliest".to_owned(), Vec::new(), 0);
    loop {
        let answer = get(address, &format!("/topics/big?since={since}")).json();
        assert!(answer.to_string().len() < 1_500_000, "half an outbox, and not much more");
        heard.extend(data(&answer).iter().map(|text| (*text).to_owned()));
        cursor(&answer).clone_into(&mut since);
        pages += 1;
        if answer["more"] == false {
            break;
        }
    }
    assert!(heard.iter().enumerate().all(|(number, text)| *text == payload(number)));
    assert_eq!((heard.len(), pages > 2), (20, true));
    let mut socket = fanwire_tests::WebSocket::open(address, "/ws");
    for reverse in [false, true] {
        let (mut since, mut heard) = (Value::Null, Vec::new());
        loop {
            let reply = socket.ask(
                &json!({"type": "history", "id": 1, "topic": "big", "since": since, "reverse": reverse}),
            );
            let messages = reply["messages"].as_array().expect("a list");
            assert!((1..=6).contains(&messages.len()), "{} messages of 200 kB", messages.len());
            heard.extend(messages.iter().map(|message| message["offset"].clone()));
            if reply["more"] == false {
                break;
            }
            let last = messages.last().expect("at least one");
            since = json!({"epoch": last["epoch"], "offset": last["offset"]});
        }
        let expected: Vec<Value> = (1..=20).map(|count| json!(nth_offset(count))).collect();
        if reverse {
            heard.reverse();
        }
        assert_eq!(heard, expected, "reverse: {reverse}");
    }
}

#[test]
fn a_poll_that_need_not_wait_does_not() {
    let broker = Broker::start(&[]);
    let address = broker.address();
    let started = Instant::now();
    for path in
        ["/topics/w?wait=0", "/topics/w?wait=0&since=earliest", "/stream?topic=w&topic=v", "/topics/w.*"]
    {
        assert_eq!(data(&get(address, path).json()).len(), 0, "{path}");
    }
    publish(address, "w", "there");
    for path in ["/topics/w?wait=60", "/topics/w?wait=60&since=earliest", "/stream?topic=w&topic=v&wait=60"] {
        assert_eq!(data(&get(address, path).json()), ["there"], "{path}");
    }
    assert!(started.elapsed() < Duration::from_secs(10), "answered after {:?}", started.elapsed());
    broker.await_metric("fanwire_connections{transport=\"poll\"}", 0.0);
}
