//! Web pages of other origins: hosts and origins compared by parts, preflights, and what a page may read.

use fanwire_tests::{AUTH, Broker, Http, Response, request, token_for};

fn ask(broker: &Broker, line: &str, headers: &str) -> Response {
    request(broker.address(), &format!("{line} HTTP/1.1\r\nConnection: close\r\n{headers}\r\n"))
}

/// The status of a request with this host and origin.
fn status(broker: &Broker, host: &str, origin: &str) -> u16 {
    ask(broker, "GET /topics/a", &format!("Host: {host}\r\nOrigin: {origin}\r\n")).status
}

#[test]
fn hosts_and_origins_are_compared_by_their_parts() {
    let broker = Broker::start(&[
        "--allow-origin",
        "https://app.example:443",
        "--allow-origin",
        "https://shop.example",
    ]);
    for (host, origin, expected) in [
        ("shop.example:443", "https://shop.example", 200),
        ("SHOP.example", "https://shop.example:443", 200),
        ("localhost", "https://app.example", 200),
        ("localhost", "https://app.example:443", 200),
        ("localhost", "http://app.example", 403),
        ("localhost", "https://app.example:80", 403),
    ] {
        assert_eq!(status(&broker, host, origin), expected, "{origin} at {host}");
    }
}

#[test]
fn behind_a_trusted_proxy_that_says_https_an_http_page_is_foreign_and_its_cookies_do_not_count() {
    let config = format!("{AUTH}cookie = 'seat'\n[proxy]\ntrusted = ['127.0.0.1']\n");
    let broker = Broker::with_file(&config, &[]);
    let cookie = format!("Cookie: seat={}\r\n", token_for("ann", &[], &["a"]));
    for (proto, host, origin, expected) in [
        ("https", "shop.example:443", "https://shop.example", 200),
        ("https", "shop.example", "https://shop.example:443", 200),
        ("https", "shop.example", "http://shop.example", 403),
        ("http, https", "shop.example", "http://shop.example", 403),
        ("http", "shop.example", "http://shop.example", 200),
        ("http", "shop.example:80", "http://shop.example", 200),
    ] {
        let headers = format!("Host: {host}\r\nOrigin: {origin}\r\nX-Forwarded-Proto: {proto}\r\n{cookie}");
        assert_eq!(
            ask(&broker, "GET /topics/a", &headers).status,
            expected,
            "{origin} at {host} over {proto}"
        );
    }
}

#[test]
fn what_cannot_be_a_host_is_a_bad_request() {
    let broker = Broker::start(&[]);
    for host in [
        "",
        "[evil.example]",
        "[::1",
        "evil.example:port",
        "a b",
        "a/b",
        "user@localhost",
        "localhost:99999",
        ".",
        "a,localhost",
    ] {
        let answer = ask(&broker, "GET /healthz", &format!("Host: {host}\r\n"));
        answer.check_problem(400, "bad_frame");
    }
    let mut http = Http::connect(broker.address());
    http.send(b"GET /healthz HTTP/1.1\r\nConnection: close\r\nHost: evil\xc3\xb6.example\r\n\r\n");
    http.read().check_problem(400, "bad_frame");
}

#[test]
fn the_host_of_a_whole_url_in_the_request_line_counts_for_more_than_the_host_header() {
    let broker = Broker::start(&[]);
    let to = |url: &str, host: &str| ask(&broker, &format!("GET {url}"), &format!("Host: {host}\r\n"));
    assert_eq!(to("http://localhost/healthz", "evil.example").status, 200);
    to("http://evil.example/healthz", "localhost").check_problem(403, "forbidden");
    to("http://user@localhost/healthz", "localhost").check_problem(400, "bad_frame");
}

#[test]
fn a_preflight_names_what_the_page_wants_to_send_where_that_is_harmless() {
    let broker = Broker::start(&[]);
    let preflight = |requested: &str| {
        let headers = format!(
            "Host: x\r\nOrigin: http://localhost:3000\r\nAccess-Control-Request-Method: DELETE\r\n\
             Access-Control-Request-Headers: {requested}\r\n"
        );
        ask(&broker, "OPTIONS /api/v1/topics/a/history", &headers)
    };
    let answer = preflight("x-requested-with,traceparent,cache-control");
    assert_eq!(answer.status, 204);
    let allowed = answer.header("access-control-allow-headers").expect("headers are allowed");
    for name in ["authorization", "idempotency-key", "x-requested-with", "traceparent", "cache-control"] {
        assert!(allowed.split(", ").any(|known| known == name), "{name} in {allowed}");
    }
    assert!(answer.header("access-control-allow-methods").is_some_and(|methods| methods.contains("DELETE")));
    let answer = preflight(&format!("x-forwarded-for,{}", "n".repeat(5000)));
    let allowed = answer.header("access-control-allow-headers").expect("headers are allowed");
    assert!(!allowed.contains("forwarded") && allowed.len() < 200, "{allowed}");
}

#[test]
fn a_page_can_read_refusals_and_when_to_come_back() {
    let broker = Broker::with_file(
        &format!("origins = ['https://app.example']\n{AUTH}[limits]\nmessage_bytes_max = '1KiB'\n"),
        &[],
    );
    let page = |line: &str, origin: &str| {
        ask(&broker, line, &format!("Host: x\r\nOrigin: {origin}\r\nContent-Length: 0\r\n"))
    };
    for (line, expected) in [
        ("POST /topics/a", 401),
        ("GET /topics/a", 401),
        ("GET /nothing", 404),
        ("DELETE /publish", 405),
        ("GET /api/v1/topics", 401),
        ("GET /topics/a..b", 400),
    ] {
        let answer = page(line, "https://app.example");
        assert_eq!(answer.status, expected, "{line}");
        assert_eq!(answer.header("access-control-allow-origin"), Some("https://app.example"), "{line}");
        let exposed = answer.header("access-control-expose-headers").unwrap_or_default();
        assert!(exposed.contains("retry-after"), "{line}: {exposed}");
    }
    // The page of a foreign origin may read why it is refused, and nothing else.
    for origin in ["https://evil.example", "null"] {
        let answer = page("GET /topics/a", origin);
        answer.check_problem(403, "forbidden");
        assert_eq!(answer.header("access-control-allow-origin"), Some(origin));
        assert_eq!(answer.header("access-control-allow-credentials"), None);
    }
    assert!(
        page("GET /topics/a", "null").text().contains("http.server"),
        "a page from a file reads what helps"
    );
}

#[test]
fn the_client_library_can_be_imported_by_pages_of_every_origin() {
    let broker = Broker::start(&[]);
    for file in ["/fanwire.mjs", "/fanwire.js", "/fanwire-msgpack.mjs"] {
        for origin in ["", "Origin: https://evil.example\r\n", "Origin: null\r\n"] {
            let answer = ask(&broker, &format!("GET {file}"), &format!("Host: x\r\n{origin}"));
            assert_eq!(
                (answer.status, answer.header("access-control-allow-origin")),
                (200, Some("*")),
                "{file} {origin}"
            );
        }
    }
    assert_eq!(status(&broker, "x", "https://evil.example"), 403);
}

#[test]
fn load_balancers_can_ask_with_options_and_head() {
    let broker = Broker::start(&[]);
    for path in ["/healthz", "/readyz", "/", "*"] {
        let answer = request(broker.address(), &format!("OPTIONS {path} HTTP/1.0\r\n\r\n"));
        assert_eq!(answer.status, 204, "{path}");
        assert!(answer.header("allow").is_some_and(|methods| methods.contains("GET")), "{path}");
    }
    let answer = ask(&broker, "OPTIONS /topics/a", "Host: x\r\n");
    assert_eq!((answer.status, answer.header("allow")), (204, Some("GET, HEAD, POST, OPTIONS")));
    ask(&broker, "OPTIONS /nothing", "Host: x\r\n").check_problem(404, "not_found");
}

#[test]
fn every_answer_is_what_its_type_says() {
    let broker = Broker::start(&[]);
    for line in [
        "GET /topics/a",
        "GET /nothing",
        "GET /healthz",
        "GET /metrics",
        "GET /api/v1/topics",
        "POST /publish",
    ] {
        let answer = ask(&broker, line, "Host: x\r\nContent-Length: 0\r\n");
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"), "{line}");
    }
}

#[test]
fn what_an_error_repeats_of_a_request_is_short() {
    let broker = Broker::start(&[]);
    for line in [
        format!("GET /{}", "n".repeat(8_000)),
        format!("{} /publish", "N".repeat(4_000)),
        format!("DELETE /topics/{}", "t".repeat(8_000)),
        format!("GET /topics/{}", "t".repeat(8_000)),
        format!("GET /api/v1/{}", "n".repeat(8_000)),
    ] {
        let answer = ask(&broker, &line, "Host: x\r\n");
        assert!(answer.status >= 400 && answer.body.len() < 2_000, "{line:.40}: {}", answer.body.len());
    }
}

#[test]
fn an_error_names_the_whole_path_and_suggests_only_what_is_near() {
    let broker = Broker::start(&[]);
    let detail = |path: &str| {
        ask(&broker, &format!("GET {path}"), "Host: x\r\n").json()["detail"]
            .as_str()
            .expect("a detail")
            .to_owned()
    };
    let near = detail("/api/v1/topcs");
    assert!(near.contains("/api/v1/topcs") && near.contains("/api/v1/topics?"), "{near}");
    let far = detail("/api/v1/payments");
    assert!(far.contains("/api/v1/payments") && !far.contains("did you mean"), "{far}");
}

#[test]
fn refused_origins_and_hosts_do_not_fill_the_log_and_the_line_says_what_to_do() {
    let broker = Broker::start(&[]);
    for number in 0..300 {
        let answer =
            ask(&broker, "GET /topics/a", &format!("Host: x\r\nOrigin: https://evil{number}.example\r\n"));
        assert_eq!(answer.status, 403);
        assert_eq!(ask(&broker, "GET /topics/a", &format!("Host: evil{number}.example\r\n")).status, 403);
    }
    let log = broker.log();
    let lines = |what: &str| log.lines().filter(|line| line.contains(what)).count();
    // At most ten lines of a kind in ten seconds.
    assert!((1..100).contains(&lines("origin refused")), "{}", lines("origin refused"));
    assert!((1..100).contains(&lines("host refused")), "{}", lines("host refused"));
    assert!(log.contains("--allow-origin https://evil0.example"), "{log}");
}
