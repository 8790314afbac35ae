//! `POST events` and `POST batch_events`, and the signatures of all requests.

use fanwire_tests::{Http, get};
use serde_json::{Value, json};

use super::fixture::{ID, KEY, Pusher, Rest, SECRET, broker, sign, trigger};

fn event() -> Value {
    json!({"name": "new", "channels": ["a"], "data": "{\"some\":\"data\"}"})
}

fn with(change: Value) -> Value {
    let mut event = event();
    for (name, value) in change.as_object().expect("an object") {
        event[name] = value.clone();
    }
    event
}

#[test]
fn an_event_reaches_the_subscribers_of_all_its_channels() {
    let broker = broker("");
    let address = broker.address();
    let mut client = Pusher::connect(address);
    for channel in ["a", "b", "private-c"] {
        client.subscribe(channel, None);
    }
    Rest::post("/events", &with(json!({"channels": ["a", "b", "private-c", "a", "none"]})))
        .expect(address, "{}");
    for channel in ["a", "b", "private-c"] {
        let data = "{\"some\":\"data\"}";
        assert_eq!(client.next(), json!({"event": "new", "channel": channel, "data": data}));
    }
    Rest::post("/events", &json!({"name": "one", "channel": "b", "data": ""})).expect(address, "{}");
    assert_eq!(client.next(), json!({"event": "one", "channel": "b", "data": ""}));
    client.expect_nothing();
}

#[test]
fn data_comes_out_byte_for_byte_as_it_went_in() {
    let broker = broker("");
    let mut client = Pusher::connect(broker.address());
    client.subscribe("a", None);
    let lines = "{\"a\":\n 1}\n";
    for data in
        [r#"{"a": 1.0}"#, "17", "plain", r#""quoted""#, "", "9007199254740993", "null", " 1", lines, "ä\u{1}"]
    {
        trigger(broker.address(), "a", "e", data);
        assert_eq!(client.next()["data"], data);
    }
}

#[test]
fn a_connection_can_be_left_out() {
    let broker = broker("");
    let address = broker.address();
    let (mut sender, mut other) = (Pusher::connect(address), Pusher::connect(address));
    sender.subscribe("a", None);
    other.subscribe("a", None);
    Rest::post("/events", &with(json!({"socket_id": sender.socket_id}))).expect(address, "{}");
    other.expect("new", "a");
    sender.expect_nothing();
    let (random, connection) = sender.socket_id.split_once('.').unwrap();
    for socket_id in ["1234.1234".to_owned(), format!("{}.{connection}", random.len())] {
        Rest::post("/events", &with(json!({"socket_id": socket_id}))).expect(address, "{}");
        sender.expect("new", "a");
        other.expect("new", "a");
    }
    for socket_id in ["", "1234", "a.b", "1.2.3", "-1.2", "1.2\n"] {
        Rest::post("/events", &with(json!({"socket_id": socket_id}))).refused(address, 400);
    }
}

#[test]
fn the_channels_of_an_event_are_described_if_it_is_asked_for() {
    let broker = broker("");
    let address = broker.address();
    let mut client = Pusher::connect(address);
    client.subscribe("a", None);
    client.subscribe("presence-b", Some(r#"{"user_id":"7"}"#));
    let info = with(json!({"channels": ["a", "none"], "info": "subscription_count"}));
    let expected = r#"{"channels":{"a":{"subscription_count":1},"none":{"subscription_count":0}}}"#;
    Rest::post("/events", &info).expect(address, expected);
    let info = with(json!({"channels": ["presence-b"], "info": "user_count,subscription_count"}));
    let expected = r#"{"channels":{"presence-b":{"subscription_count":1,"user_count":1}}}"#;
    Rest::post("/events", &info).expect(address, expected);
    Rest::post("/events", &with(json!({"info": "user_count"}))).refused(address, 400);
    Rest::post("/events", &with(json!({"info": "other"}))).refused(address, 400);
}

#[test]
fn events_that_are_not_valid_are_refused_and_nothing_of_them_is_published() {
    let broker = broker("");
    let address = broker.address();
    let mut client = Pusher::connect(address);
    client.subscribe("a", None);
    let many: Vec<String> = (0..101).map(|number| format!("c{number}")).collect();
    for (change, says) in [
        (json!({"name": null}), "name"),
        (json!({"name": ""}), "name"),
        (json!({"name": "n".repeat(201)}), "200"),
        (json!({"name": "pusher:new"}), "pusher:"),
        (json!({"name": "pusher_internal:new"}), "pusher_internal:"),
        (json!({"data": null}), "data"),
        (json!({"data": {"a": 1}}), "string"),
        (json!({"channels": null}), "channel"),
        (json!({"channels": []}), "channels"),
        (json!({"channels": many}), "100"),
        (json!({"channels": ["a", "b c"]}), "channel"),
        (json!({"channels": ["a", "#b"]}), "channel"),
        (json!({"channels": ["a", "*"]}), "channel"),
        (json!({"channels": ["a", ""]}), "channel"),
        (json!({"channels": ["a", "b".repeat(165)]}), "164"),
        (json!({"channel": "b"}), "channel"),
        (json!({"channels": "a"}), "JSON"),
    ] {
        let text = Rest::post("/events", &with(change.clone())).refused(address, 400);
        assert!(text.contains(says), "{change}: {text}");
    }
    for body in ["", "{", "[]", "{\"name\":1}"] {
        let request = Rest { body: body.to_owned(), ..Rest::post("/events", &json!(null)) };
        request.refused(address, 400);
    }
    Rest::post("/events", &with(json!({"name": "n".repeat(200), "channels": many[..100]})))
        .expect(address, "{}");
    client.expect_nothing();
}

#[test]
fn data_beyond_the_bound_is_413_and_full_size_arrives_in_pieces() {
    let broker = broker("event_bytes_max = '100KiB'\n");
    let address = broker.address();
    let mut client = Pusher::connect(address);
    client.subscribe("a", None);
    for full in ["x".repeat(100 * 1024), "\u{1}".repeat(100 * 1024)] {
        let request = Rest::post("/events", &with(json!({"data": full}))).text();
        let mut http = Http::connect(address);
        let (head, body) = request.split_at(request.find("\r\n\r\n").unwrap() + 4);
        http.send(head.as_bytes());
        for piece in body.as_bytes().chunks(50_000) {
            http.send(piece);
        }
        let answer = http.read();
        assert_eq!((answer.status, answer.text().as_str()), (200, "{}"));
        assert_eq!(client.next()["data"], full);
    }
    for size in [100 * 1024 + 1, 3_000_000] {
        let text = Rest::post("/events", &with(json!({"data": "x".repeat(size)}))).refused(address, 413);
        assert!(text.contains("content of this event"), "{text}");
    }
}

#[test]
fn a_batch_is_published_whole_or_not_at_all() {
    let broker = broker("");
    let address = broker.address();
    let mut client = Pusher::connect(address);
    client.subscribe("a", None);
    client.subscribe("b", None);
    let entry = |channel: &str, data: &str| json!({"name": "new", "channel": channel, "data": data});
    let batch = json!({"batch": [entry("a", "1"), entry("b", "2"), entry("a", "3")]});
    Rest::post("/batch_events", &batch).expect(address, "{}");
    let got: Vec<Value> = (0..3).map(|_| client.next()["data"].clone()).collect();
    assert!(got.contains(&"2".into()), "{got:?}");
    let of_a: Vec<&Value> = got.iter().filter(|data| **data != "2").collect();
    assert_eq!(of_a, ["1", "3"], "in order");
    let mut asking = entry("a", "1");
    asking["info"] = "subscription_count".into();
    let batch = json!({"batch": [asking, entry("b", "2")]});
    Rest::post("/batch_events", &batch).expect(address, r#"{"batch":[{"subscription_count":1},{}]}"#);
    let _two = (client.next(), client.next());
    for batch in [
        json!({"batch": [entry("a", "1"), entry("b c", "2")]}),
        json!({"batch": [entry("a", "1"), {"name": "x", "channel": "b"}]}),
        json!({"batch": [entry("a", "1"), event()]}),
        json!({}),
        json!([]),
    ] {
        Rest::post("/batch_events", &batch).refused(address, 400);
    }
    let text =
        Rest::post("/batch_events", &json!({"batch": vec![entry("a", "1"); 11]})).refused(address, 400);
    assert!(text.contains("Batch too large"), "{text}");
    let large = entry("b", &"x".repeat(10 * 1024 + 1));
    let text = Rest::post("/batch_events", &json!({"batch": [entry("a", "1"), large]})).refused(address, 413);
    assert!(text.contains("content of this event"), "{text}");
    client.expect_nothing();
    let full = vec![entry("a", &"\u{1}".repeat(10 * 1024)); 10];
    Rest::post("/batch_events", &json!({ "batch": full })).expect(address, "{}");
}

#[test]
fn requests_without_a_good_signature_are_401_and_say_what_should_have_been_signed() {
    let broker = broker("");
    let address = broker.address();
    let now = fanwire_tests::unix_seconds();
    let good = || Rest::post("/events", &event());
    good().expect(address, "{}");
    Rest { timestamp: now - 590, ..good() }.expect(address, "{}");
    Rest { timestamp: now + 590, ..good() }.expect(address, "{}");
    for (request, says) in [
        (Rest { timestamp: now - 620, ..good() }, "Timestamp"),
        (Rest { timestamp: now + 620, ..good() }, "Timestamp"),
        (Rest { key: "other".to_owned(), ..good() }, "auth_key"),
        (Rest { key: String::new(), ..good() }, "auth_key"),
        (Rest { version: "2.0".to_owned(), ..good() }, "auth_version"),
        (Rest { version: String::new(), ..good() }, "auth_version"),
        (Rest { body_md5: Some(String::new()), ..good() }, "body_md5"),
        (Rest { body_md5: Some("0".repeat(32)), ..good() }, "body_md5"),
        (Rest { signature: Some("0".repeat(64)), ..good() }, "POST\\n/apps/3/events\\nauth_key="),
        (Rest { signature: Some(String::new()), ..good() }, "POST\\n/apps/3/events\\nauth_key="),
        (Rest { signature: Some("zz".to_owned()), ..good() }, "auth_timestamp="),
    ] {
        let text = request.refused(address, 401);
        assert!(text.contains(says), "{says}: {text}");
        assert!(!text.contains(SECRET), "{text}");
        let query = request.query();
        let signed = query.split("&auth_signature=").next().unwrap();
        let right = sign(&format!("POST\n/apps/{ID}/events\n{signed}"));
        assert!(!text.contains(&right), "the right signature is not told: {text}");
    }
    let unsigned = get(address, &format!("/apps/{ID}/channels"));
    assert_eq!(unsigned.status, 401, "{}", unsigned.text());
    // A signature for one path is not one for another.
    let query = Rest::get("/channels").query();
    assert_eq!(get(address, &format!("/apps/{ID}/channels/a?{query}")).status, 401);
}

#[test]
fn query_values_are_signed_unescaped_and_keys_in_lower_case_and_order() {
    let broker = broker("");
    let address = broker.address();
    let now = fanwire_tests::unix_seconds();
    let signed = format!(
        "auth_key={KEY}&auth_timestamp={now}&auth_version=1.0&filter_by_prefix=presence-&info=user_count"
    );
    let signature = sign(&format!("GET\n/apps/{ID}/channels\n{signed}"));
    let sent = format!(
        "INFO=user%5Fcount&auth_version=1.0&filter_by_prefix=presence%2D&auth_timestamp={now}&auth_key={KEY}&auth_signature={signature}"
    );
    let answer = get(address, &format!("/apps/{ID}/channels?{sent}"));
    assert_eq!(answer.status, 200, "{}", answer.text());
}

#[test]
fn unknown_apps_and_paths_are_404_and_other_methods_405() {
    let broker = broker("");
    let address = broker.address();
    let mut unknown = Rest::post("/events", &event());
    unknown.path = "/apps/4/events".to_owned();
    assert!(unknown.refused(address, 404).contains("'4'"));
    for path in ["", "/", "/other", "/events/x", "/channels/a/b", "/users/7", "/channels/"] {
        Rest::get(path).refused(address, 404);
    }
    for (path, allow) in
        [("/events", "POST"), ("/batch_events", "POST"), ("/users/7/terminate_connections", "POST")]
    {
        let answer = Rest::get(path).send(address);
        assert_eq!((answer.status, answer.header("allow")), (405, Some(allow)), "{path}");
    }
    for path in ["/channels", "/channels/a", "/channels/presence-a/users"] {
        let answer = Rest::post(path, &event()).send(address);
        assert_eq!((answer.status, answer.header("allow")), (405, Some("GET")), "{path}");
    }
}

#[test]
fn a_repeated_request_with_an_idempotency_key_publishes_once() {
    let broker = broker("");
    let address = broker.address();
    let mut client = Pusher::connect(address);
    client.subscribe("a", None);
    let keyed = || Rest { headers: "Idempotency-Key: k-1\r\n".to_owned(), ..Rest::post("/events", &event()) };
    for _ in 0..3 {
        keyed().expect(address, "{}");
    }
    client.expect("new", "a");
    client.expect_nothing();
    let entry = json!({"name": "new", "channel": "a", "data": "1"});
    let batch = Rest::post("/batch_events", &json!({"batch": [entry, entry]}));
    Rest { headers: "Idempotency-Key: k-2\r\n".to_owned(), ..batch }.expect(address, "{}");
    client.expect("new", "a");
    client.expect("new", "a");
}
