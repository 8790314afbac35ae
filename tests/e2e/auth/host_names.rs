//! Pages from the web whose name was made to point to this machine (DNS rebinding).

use fanwire_tests::{AUTH, Broker, Response, WebSocket, request, token_for};

fn ask_as(broker: &Broker, host: &str, headers: &str) -> Response {
    request(
        broker.address(),
        &format!("GET /topics/a HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n{headers}\r\n"),
    )
}

#[test]
fn an_open_broker_of_this_machine_answers_to_no_name_of_the_web() {
    let broker = Broker::start(&["--allow-origin", "https://app.example"]);
    let port = broker.address().port();
    for host in
        ["evil.example".to_owned(), format!("evil.example:{port}"), format!("127.0.0.1.evil.example:{port}")]
    {
        ask_as(&broker, &host, "").check_problem(403, "forbidden");
        ask_as(&broker, &host, &format!("Origin: http://{host}\r\n")).check_problem(403, "forbidden");
    }
    for host in [
        format!("localhost:{port}"),
        format!("127.0.0.1:{port}"),
        format!("[::1]:{port}"),
        "app.example".to_owned(),
    ] {
        assert_eq!(ask_as(&broker, &host, "").status, 200, "{host}");
        assert_eq!(ask_as(&broker, &host, &format!("Origin: http://{host}\r\n")).status, 200, "{host}");
    }
    assert!(WebSocket::try_open(broker.address(), "/ws", "").is_ok());
}

#[test]
fn a_broker_that_asks_for_tokens_may_have_any_name() {
    let broker = Broker::with_file(AUTH, &[]);
    let token = format!("Authorization: Bearer {}\r\n", token_for("ann", &[], &["a"]));
    assert_eq!(ask_as(&broker, "broker.example", &token).status, 200);
    assert_eq!(
        ask_as(&broker, "broker.example", &format!("{token}Origin: https://broker.example\r\n")).status,
        200
    );
}

#[test]
fn a_cookie_does_not_count_for_pages_of_others() {
    let broker =
        Broker::with_file(&format!("origins = ['https://app.example']\n{AUTH}cookie = 'seat'\n"), &[]);
    let cookie = format!("Cookie: seat={}\r\n", token_for("ann", &[], &["a"]));
    for (host, origin, status) in [
        ("broker.example", "", 200),
        ("broker.example", "Origin: https://broker.example\r\n", 200),
        ("broker.example", "Origin: https://app.example\r\n", 200),
        ("broker.example", "Origin: http://localhost:3000\r\n", 401),
        ("localhost:7400", "Origin: http://localhost:3000\r\n", 200),
        ("broker.example", "Origin: https://evil.example\r\n", 403),
    ] {
        let answer = ask_as(&broker, host, &format!("{cookie}{origin}"));
        assert_eq!(answer.status, status, "{host} {origin}");
        let is_shared = answer.header("access-control-allow-credentials") == Some("true");
        assert_eq!(is_shared, status == 200 && !origin.is_empty(), "{host} {origin}");
    }
}
