//! Callouts, and the effect of their answers, on every transport.

use fanwire_tests::{
    AUTH, Application, Broker, Events, HOOKS_SECRET, HookAnswer, HookCall, WebSocket, get, nth_offset, post,
    token_for,
};
use serde_json::{Value, json};

use super::allow;

/// Allows every callout that does not contain 'secret'.
fn refuse_secrets(call: &HookCall) -> HookAnswer {
    if call.body.contains("secret") {
        return HookAnswer::Json(json!({"allow": false, "message": "not for you"}));
    }
    HookAnswer::Json(json!({"allow": true}))
}

#[test]
fn callout_contains_the_client_and_the_action_and_is_signed() {
    let application = Application::start(allow);
    let config = format!("{AUTH}{}", application.config("callouts = ['publish', 'subscribe']"));
    let broker = Broker::with_file(&config, &[]);
    let mut socket = WebSocket::open(broker.address(), "/ws");
    let token = token_for("ann", &[">"], &[">"]);
    let connected = socket.ask(&json!({"type": "connect", "id": 1, "token": token}));
    let published = socket.ask(&json!({"type": "publish", "id": 2, "topic": "a", "data": {"n": 1}}));
    assert_eq!(published["type"], "published", "{published}");
    let subscribed = socket.ask(&json!({"type": "subscribe", "id": 3, "topic": "b.*"}));
    assert_eq!(subscribed["type"], "subscribed", "{subscribed}");
    let calls = application.await_calls(2);
    let mut publish = calls[0].json();
    assert!(publish["id"].as_str().is_some_and(|id| id.len() == 32), "{publish}");
    publish["id"] = Value::Null;
    let connection = &connected["connection"];
    let expected = json!({
        "hook": "publish", "id": null, "user": "ann", "connection": connection, "topic": "a", "data": {"n": 1}
    });
    assert_eq!(publish, expected);
    assert_eq!((&calls[1].json()["hook"], &calls[1].json()["topic"]), (&json!("subscribe"), &json!("b.*")));
    for call in &calls {
        assert!(call.is_signed_with(HOOKS_SECRET), "{call:?}");
        assert!(!call.is_signed_with("another secret"), "{call:?}");
    }
}

#[test]
fn what_the_application_refuses_does_not_happen_on_any_way_in() {
    let application = Application::start(refuse_secrets);
    let broker = Broker::with_file(&application.config("callouts = ['publish', 'subscribe']"), &[]);
    let address = broker.address();
    let mut socket = WebSocket::open(address, "/ws");
    for frame in [
        json!({"type": "publish", "id": 1, "topic": "secret", "data": 1}),
        json!({"type": "publish", "id": 1, "topic": "a", "data": "a secret"}),
        json!({"type": "subscribe", "id": 1, "topic": "secret"}),
        json!({"type": "subscribe", "id": 1, "topic": "secret.>"}),
        json!({"type": "history", "id": 1, "topic": "secret"}),
        json!({"type": "presence", "id": 1, "topic": "secret"}),
    ] {
        let reply = socket.ask(&frame);
        assert_eq!(
            (&reply["type"], &reply["code"]),
            (&json!("error"), &json!("forbidden")),
            "{frame}: {reply}"
        );
        assert_eq!(reply["message"], "not for you", "{frame}: {reply}");
    }
    post(address, "/topics/secret", "text/plain", b"x").check_problem(403, "forbidden");
    get(address, "/topics/secret").check_problem(403, "forbidden");
    get(address, "/topics/secret?wait=1").check_problem(403, "forbidden");
    get(address, "/stream?topic=a&topic=secret").check_problem(403, "forbidden");
    let refused = Events::try_open(address, "/topics/secret", "").err().expect("it is refused");
    assert_eq!(refused.status, 403);
    let batch = json!({"messages": [
        {"topic": "a", "data": 1}, {"topic": "secret", "data": 2}, {"topic": "a", "data": 3}
    ]});
    let results = post(address, "/publish", "application/json", batch.to_string().as_bytes()).json();
    let results = &results["results"];
    assert_eq!(
        (&results[0]["offset"], &results[2]["offset"]),
        (&json!(nth_offset(1)), &json!(nth_offset(2))),
        "{results}"
    );
    assert_eq!(results[1]["error"]["code"], "forbidden", "{results}");
    let mut bare = WebSocket::open(address, "/topics/secret");
    assert_eq!(bare.read_to_close().0, Some(4403));
    let mut bare = WebSocket::open(address, "/topics/a");
    bare.send_text("a secret");
    assert_eq!(bare.read_to_close().0, Some(4403));
    let held = get(address, "/topics/a").json();
    let held: Vec<_> = held["messages"].as_array().unwrap().iter().map(|message| &message["data"]).collect();
    assert_eq!(held, [&json!(1), &json!(3)]);
    assert!(broker.metric("fanwire_callouts_total{outcome=\"refused\"}") >= 13.0);
    assert!(broker.metric("fanwire_callouts_total{outcome=\"allowed\"}") >= 4.0);
}

#[test]
fn the_application_may_change_what_is_published() {
    let application = Application::start(|call| {
        let data = &call.json()["data"];
        HookAnswer::Json(match data.as_str() {
            Some("binary") => json!({"allow": true, "data_base64": "/w=="}),
            Some(text) => json!({"allow": true, "data": {"text": text, "checked": true}}),
            None => json!({"allow": true}),
        })
    });
    let broker = Broker::with_file(&application.config("callouts = ['publish']"), &[]);
    let mut socket = WebSocket::open(broker.address(), "/ws");
    socket.ask(&json!({"type": "subscribe", "id": 1, "topic": "a"}));
    for (sent, got) in [
        (json!("hi"), json!({"data": {"text": "hi", "checked": true}})),
        (json!("binary"), json!({"data_base64": "/w=="})),
        (json!([1, 2]), json!({"data": [1, 2]})),
    ] {
        socket.send_json(&json!({"type": "publish", "topic": "a", "data": sent}));
        let message = socket.read_json();
        for (key, value) in got.as_object().unwrap() {
            assert_eq!(&message[key], value, "{message}");
        }
    }
}

#[test]
fn publications_of_one_session_stay_in_order() {
    let application = Application::start(allow);
    let broker =
        Broker::with_file(&application.config("callouts = ['publish']\ncallout_topics = ['asked']"), &[]);
    let mut listener = WebSocket::open(broker.address(), "/ws");
    listener.ask(&json!({"type": "subscribe", "id": 1, "topic": ">"}));
    let mut socket = WebSocket::open(broker.address(), "/ws");
    for number in 0..200 {
        let topic = if number % 3 == 0 { "free" } else { "asked" };
        socket.send_json(&json!({"type": "publish", "topic": topic, "data": number}));
    }
    // Between topics there is no order; what is delivered together is grouped by topic.
    let (mut free, mut asked) = ((0..200).step_by(3), (0..200).filter(|number| number % 3 != 0));
    for _ in 0..200 {
        let message = listener.read_json();
        let expected = if message["topic"] == "free" { free.next() } else { asked.next() };
        assert_eq!(message["data"], json!(expected), "{message}");
    }
    assert_eq!(
        application.calls().len(),
        133,
        "callouts are made only for the topics in hooks.callout_topics"
    );
}

#[test]
fn session_continues_while_a_request_is_pending() {
    let (open, gate) = std::sync::mpsc::channel::<()>();
    let gate = std::sync::Mutex::new(gate);
    let application = Application::start(move |call| {
        let call = call.json();
        match call["method"].as_str() {
            Some("slow") => {
                gate.lock().unwrap().recv().unwrap();
                HookAnswer::Json(json!({"allow": true, "data": "at last"}))
            }
            Some("add") => {
                let sum = call["data"][0].as_i64().unwrap() + call["data"][1].as_i64().unwrap();
                HookAnswer::Json(json!({"allow": true, "data": sum}))
            }
            Some("nothing") => HookAnswer::Json(json!({"allow": true})),
            _ => HookAnswer::Json(json!({"allow": false, "message": "no such method"})),
        }
    });
    let broker = Broker::with_file(&application.config("callouts = ['request']"), &[]);
    let mut socket = WebSocket::open(broker.address(), "/ws");
    socket.send_json(&json!({"type": "request", "id": 1, "method": "slow", "data": 0}));
    let sum = socket.ask(&json!({"type": "request", "id": 2, "method": "add", "data": [3, 4]}));
    assert_eq!(sum, json!({"type": "response", "id": 2, "data": 7}));
    assert_eq!(socket.ask(&json!({"type": "ping", "id": 3}))["type"], "pong");
    open.send(()).unwrap();
    assert_eq!(socket.read_json(), json!({"type": "response", "id": 1, "data": "at last"}));
    let refused = socket.ask(&json!({"type": "request", "id": 4, "method": "x", "data": 0}));
    assert_eq!((&refused["code"], &refused["message"]), (&json!("forbidden"), &json!("no such method")));
    let nothing = socket.ask(&json!({"type": "request", "id": 5, "method": "nothing", "data": 0}));
    assert_eq!(nothing["code"], "unavailable", "{nothing}");
    let without = Broker::start(&[]);
    let mut socket = WebSocket::open(without.address(), "/ws");
    let unanswered = socket.ask(&json!({"type": "request", "id": 1, "method": "add", "data": [1, 2]}));
    assert_eq!(
        (&unanswered["type"], &unanswered["code"]),
        (&json!("error"), &json!("unavailable")),
        "{unanswered}"
    );
}

#[test]
fn a_request_by_url_is_answered_by_the_application() {
    let application = Application::start(|call| {
        let call = call.json();
        match call["method"].as_str() {
            Some("echo") if call.get("data_base64").is_some() => {
                HookAnswer::Json(json!({"allow": true, "data_base64": call["data_base64"]}))
            }
            Some("echo") => HookAnswer::Json(json!({"allow": true, "data": call["data"]})),
            Some("who is it?") => HookAnswer::Json(json!({"allow": true, "data": {"user": call["user"]}})),
            _ => HookAnswer::Json(json!({"allow": false, "message": "no such method"})),
        }
    });
    let config = format!(
        "{AUTH}{}[limits]\nmessage_bytes_max = '1KiB'\n",
        application.config("callouts = ['request']")
    );
    let broker = Broker::with_file(&config, &[]);
    let token = token_for("ann", &[], &[]);
    let ask = |method: &str, content_type: &str, body: &[u8]| {
        post(broker.address(), &format!("/request/{method}?token={token}"), content_type, body)
    };
    for (content_type, body) in [
        ("application/json", br#"{"n":[1,null]}"#.as_slice()),
        ("text/plain; charset=utf-8", "ü".as_bytes()),
        ("application/octet-stream", &[0, 255]),
    ] {
        let answer = ask("echo", content_type, body);
        assert_eq!((answer.status, answer.header("content-type")), (200, Some(content_type)));
        assert_eq!(answer.body, body, "{content_type}");
    }
    assert_eq!(ask("who%20is%20it%3F", "application/json", b"null").json(), json!({"user": "ann"}));
    ask("nonsense", "application/json", b"1").check_problem(403, "forbidden");
    ask("echo", "application/json", b"{").check_problem(400, "bad_frame");
    ask("echo", "text/plain", &[b'x'; 2000]).check_problem(413, "too_large");
    let asked = application.calls().len();
    post(broker.address(), "/request/echo", "text/plain", b"x").check_problem(401, "unauthorized");
    get(broker.address(), "/request/echo").check_problem(405, "method_not_allowed");
    assert_eq!(application.calls().len(), asked, "no callout is made for a refused client");
    let without = Broker::start(&[]);
    post(without.address(), "/request/echo", "text/plain", b"x").check_problem(503, "unavailable");
}

#[test]
fn the_application_says_who_connects_and_what_they_may_do() {
    let application = Application::start(|call| {
        let call = call.json();
        HookAnswer::Json(match (call["transport"].as_str(), call["user"].as_str()) {
            (_, Some("banned")) => json!({"allow": false, "message": "you are banned"}),
            (Some("ws"), Some("ann")) => {
                json!({"allow": true, "user": "Ann A.", "info": {"name": "Ann"}, "grants": {"publish": ["a"]}})
            }
            _ => json!({"allow": true}),
        })
    });
    let config = format!("{AUTH}{}", application.config("callouts = ['connect']"));
    let broker = Broker::with_file(&config, &[]);
    let address = broker.address();
    let with = |user: &str| token_for(user, &[], &["a"]);
    for in_frame in [true, false] {
        let path = if in_frame { "/ws".to_owned() } else { format!("/ws?token={}", with("ann")) };
        let mut socket = WebSocket::open(address, &path);
        let mut connect = json!({"type": "connect", "id": 1});
        if in_frame {
            connect["token"] = with("ann").into();
        }
        let connected = socket.ask(&connect);
        assert_eq!(connected["user"], "Ann A.", "{connected}");
        let published = socket.ask(&json!({"type": "publish", "id": 2, "topic": "a", "data": 1}));
        assert_eq!(published["type"], "published", "{published}");
        let call = application.calls().pop().unwrap().json();
        assert_eq!((&call["user"], &call["connection"]), (&json!("ann"), &connected["connection"]), "{call}");
    }
    let mut socket = WebSocket::open(address, "/ws");
    let refused = socket.ask(&json!({"type": "connect", "id": 1, "token": with("banned")}));
    assert_eq!((&refused["code"], &refused["message"]), (&json!("forbidden"), &json!("you are banned")));
    assert_eq!(socket.read_to_close().0, Some(4403));
    for path in ["/ws", "/topics/a"] {
        let mut socket = WebSocket::open(address, &format!("{path}?token={}", with("banned")));
        assert_eq!(socket.read_to_close().0, Some(4403), "{path}");
    }
    get(address, &format!("/topics/a?token={}", with("banned"))).check_problem(403, "forbidden");
    assert_eq!(get(address, &format!("/topics/a?token={}", with("bob"))).status, 200);
}
