//! Keys that an identity provider publishes: taken, changed, and wrong in every way.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use fanwire_tests::{Authority, Broker, WebSocket, eventually, signed_with, unix_seconds};
use ring::rand::SystemRandom;
use ring::signature::{Ed25519KeyPair, KeyPair};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::{Value, json};

use crate::fixtures::credentials::publish_with;

/// A key of the identity provider.
struct Key {
    id: &'static str,
    pair: Ed25519KeyPair,
}

impl Key {
    fn new(id: &'static str) -> Self {
        let document = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).expect("there is randomness");
        Self { id, pair: Ed25519KeyPair::from_pkcs8(document.as_ref()).expect("the key was just made") }
    }

    /// The key as it is published.
    fn published(&self) -> Value {
        let x = URL_SAFE_NO_PAD.encode(self.pair.public_key());
        json!({"kty": "OKP", "crv": "Ed25519", "kid": self.id, "use": "sig", "alg": "EdDSA", "x": x})
    }

    /// A good token, whose header says this besides.
    fn token_with(&self, header: Value) -> String {
        let mut all = json!({"alg": "EdDSA", "kid": self.id});
        all.as_object_mut().expect("an object").extend(header.as_object().expect("an object").clone());
        let claims = json!({"sub": "ann", "exp": unix_seconds() + 600, "fanwire": {"publish": ["a"]}});
        let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let message = format!("{}.{}", encode(&all), encode(&claims));
        format!("{message}.{}", URL_SAFE_NO_PAD.encode(self.pair.sign(message.as_bytes())))
    }

    fn token(&self) -> String {
        self.token_with(json!({}))
    }
}

/// A server that answers every request with the same bytes, until they are changed.
struct Provider {
    scheme: &'static str,
    address: SocketAddr,
    answer: Arc<Mutex<Vec<u8>>>,
    asked: Arc<AtomicUsize>,
}

impl Provider {
    fn start(answer: Vec<u8>) -> Self {
        Self::listen(answer, None)
    }

    fn listen(answer: Vec<u8>, tls: Option<Arc<ServerConfig>>) -> Self {
        let scheme = if tls.is_some() { "https" } else { "http" };
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let address = listener.local_addr().expect("it has an address");
        let answer = Arc::new(Mutex::new(answer));
        let asked = Arc::new(AtomicUsize::new(0));
        let (shared, counted) = (answer.clone(), asked.clone());
        // Ends with the process.
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(stream) = stream else { continue };
                let (shared, counted, tls) = (shared.clone(), counted.clone(), tls.clone());
                std::thread::spawn(move || {
                    let Some(tls) = tls else { return serve(stream, &shared, &counted) };
                    let connection = ServerConnection::new(tls).expect("the settings fit");
                    serve(StreamOwned::new(connection, stream), &shared, &counted);
                });
            }
        });
        Self { scheme, address, answer, asked }
    }

    fn of_keys(keys: &[&Key]) -> Self {
        Self::start(document(keys))
    }

    fn say(&self, answer: Vec<u8>) {
        *self.answer.lock().expect("no thread panics while holding it") = answer;
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }

    /// The configuration of a broker that trusts this provider.
    fn config(&self) -> String {
        format!("[auth]\njwks_url = '{}://{}/keys'\n", self.scheme, self.address)
    }
}

/// Answers one request. A client that does not trust the server hangs up before it sends a request.
fn serve(mut stream: impl Read + Write, answer: &Mutex<Vec<u8>>, asked: &AtomicUsize) {
    let mut head = [0; 4096];
    if !stream.read(&mut head).is_ok_and(|count| count > 0) {
        return;
    }
    asked.fetch_add(1, Ordering::SeqCst);
    let answer = answer.lock().map(|answer| answer.clone()).unwrap_or_default();
    if answer.is_empty() {
        // Says nothing for as long as the other side waits.
        let _hung_up = stream.read(&mut head);
        return;
    }
    let _hung_up = stream.write_all(&answer).and_then(|()| stream.flush());
}

fn http(status: &str, headers: &str, body: &str) -> Vec<u8> {
    format!("HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {}\r\n{headers}\r\n{body}", body.len())
        .into_bytes()
}

fn document(keys: &[&Key]) -> Vec<u8> {
    let keys: Vec<Value> = keys.iter().map(|key| key.published()).collect();
    http("200 OK", "Content-Type: application/json\r\n", &json!({"keys": keys}).to_string())
}

fn status(broker: &Broker, token: &str) -> u16 {
    publish_with(broker.address(), "a", "x", Some(token)).status
}

#[test]
fn keys_are_taken_from_the_provider_and_changed_with_it() {
    let (old, new) = (Key::new("old"), Key::new("new"));
    let provider = Provider::of_keys(&[&old]);
    let broker = Broker::with_file(&provider.config(), &[]);
    assert_eq!(status(&broker, &old.token()), 200);
    let mut socket = WebSocket::open(broker.address(), "/ws");
    let reply = socket.ask(&json!({"type": "connect", "id": 1, "token": old.token()}));
    assert_eq!((&reply["type"], &reply["user"]), (&json!("connected"), &json!("ann")), "{reply}");
    assert_eq!(status(&broker, &new.token()), 401, "its key is not published");
    provider.say(document(&[&new]));
    // The first token of the new key after a while makes the broker look again, by frame as by header.
    eventually("the new key is taken", || (status(&broker, &new.token()) == 200).then_some(()));
    assert_eq!(status(&broker, &old.token()), 401, "its key is published no more");
    let mut socket = WebSocket::open(broker.address(), "/ws");
    let reply = socket.ask(&json!({"type": "connect", "id": 1, "token": new.token()}));
    assert_eq!(reply["type"], "connected", "{reply}");
}

#[test]
fn tokens_with_made_up_keys_do_not_flood_the_provider() {
    let key = Key::new("real");
    let provider = Provider::of_keys(&[&key]);
    let broker = Broker::with_file(&provider.config(), &[]);
    assert_eq!(status(&broker, &key.token()), 200);
    let before = Instant::now();
    for number in 0..200 {
        let stranger = key.token_with(json!({"kid": format!("made-up-{number}")}));
        assert_eq!(status(&broker, &stranger), 401);
    }
    let allowed = 2 + before.elapsed().as_secs() as usize / 5;
    assert!(provider.asked() <= allowed, "asked {} times, at most {allowed} expected", provider.asked());
    assert_eq!(status(&broker, &key.token()), 200);
}

#[test]
fn what_a_token_says_of_keys_is_not_believed() {
    let (key, foreign) = (Key::new("real"), Key::new("real"));
    let provider = Provider::of_keys(&[&key]);
    let elsewhere = Provider::of_keys(&[&foreign]);
    let broker = Broker::with_file(&provider.config(), &[]);
    let url = format!("http://{}/keys", elsewhere.address);
    for header in [json!({}), json!({"jku": url}), json!({"jwk": foreign.published()}), json!({"x5u": url})] {
        assert_eq!(status(&broker, &foreign.token_with(header)), 401);
    }
    assert_eq!(elsewhere.asked(), 0);
    // The published key is no secret, so a token signed with it as if it were one must be refused.
    let public = key.published()["x"].as_str().expect("it is published").to_owned();
    let claims = json!({"sub": "ann", "exp": unix_seconds() + 600, "fanwire": {"publish": ["a"]}});
    for algorithm in ["HS256", "none", "EdDSA", "RS256"] {
        let forged = signed_with(&public, &json!({"alg": algorithm, "kid": "real"}), &claims);
        assert_eq!(status(&broker, &forged), 401, "{algorithm}");
    }
    assert_eq!(status(&broker, &key.token()), 200);
}

#[test]
fn a_provider_that_fails_lets_no_token_in_and_the_log_says_why() {
    let key = Key::new("real");
    let page = "<!DOCTYPE html><title>Please log in</title>";
    let secrets = r#"{"keys":[{"kty":"oct","kid":"real","k":"c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LXNlYw"}]}"#;
    let cases = [
        (Vec::new(), "no whole answer came within 5 s"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"keys\":".to_vec(), "cannot be reached"),
        (http("500 Internal Server Error", "", "oops"), "500"),
        (http("302 Found", "Location: http://127.0.0.1:1/\r\n", ""), "302"),
        (http("200 OK", "", page), "looks like a web page"),
        (http("200 OK", "", "{}"), "not a key set"),
        (http("200 OK", "", &"x".repeat(300 * 1024)), "more than 262144 bytes"),
        (http("200 OK", "", secrets), "none of its 1 keys"),
        (b"garbage".to_vec(), "cannot be reached"),
    ];
    let brokers: Vec<(Provider, Broker, &str)> = cases
        .into_iter()
        .map(|(answer, expected)| {
            let provider = Provider::start(answer);
            let broker = Broker::with_file(&provider.config(), &[]);
            (provider, broker, expected)
        })
        .collect();
    for (provider, broker, expected) in &brokers {
        eventually(expected, || broker.log().contains(expected).then_some(()));
        assert!(!broker.log().contains("Please log in"), "what the provider says is not repeated");
        publish_with(broker.address(), "a", "x", Some(&key.token())).check_problem(503, "unavailable");
        let mut socket = WebSocket::open(broker.address(), "/ws");
        let error = socket.ask(&json!({"type": "connect", "id": 1, "token": key.token()}));
        assert_eq!((&error["type"], &error["code"]), (&json!("error"), &json!("unavailable")), "{error}");
        assert_eq!(socket.check_closing(1001)["reconnect"], true);
        assert!(provider.asked() > 0);
    }
    // As soon as a provider is well again, so is its broker.
    for (provider, broker, expected) in &brokers {
        provider.say(document(&[&key]));
        eventually(expected, || (status(broker, &key.token()) == 200).then_some(()));
    }
}

#[test]
fn a_provider_under_tls_is_trusted_if_the_operator_names_its_authority() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let key = Key::new("real");
    let provider = Provider::listen(document(&[&key]), Some(authority.server_for("127.0.0.1")));
    let trusting =
        |authority: &Authority| format!("{}jwks_ca_file = '{}'\n", provider.config(), authority.path());
    let broker = Broker::with_file(&trusting(&authority), &[]);
    assert_eq!(status(&broker, &key.token()), 200);
    let mut socket = WebSocket::open(broker.address(), "/ws");
    assert_eq!(socket.ask(&json!({"type": "connect", "id": 1, "token": key.token()}))["type"], "connected");
    let asked = provider.asked();
    // Neither those that browsers trust nor another private one have signed the provider's certificate.
    for config in [provider.config(), trusting(&stranger)] {
        let broker = Broker::with_file(&config, &[]);
        eventually("the log says why", || broker.log().contains("invalid peer certificate").then_some(()));
        publish_with(broker.address(), "a", "x", Some(&key.token())).check_problem(503, "unavailable");
    }
    assert_eq!(provider.asked(), asked, "an unproven server receives no request");
}

#[test]
fn a_provider_under_tls_is_verified_and_redirects_are_not_followed() {
    let authority = Authority::new();
    let key = Key::new("real");
    let elsewhere = Provider::listen(document(&[&key]), Some(authority.server_for("127.0.0.1")));
    let location = format!("Location: https://{}/keys\r\n", elsewhere.address);
    let cases = [
        // The certificate is that of another host.
        (document(&[&key]), "another.example", "not valid for name"),
        (http("301 Moved Permanently", &location, ""), "127.0.0.1", "301"),
        (http("307 Temporary Redirect", &location, ""), "127.0.0.1", "307"),
    ];
    for (answer, name, expected) in cases {
        let provider = Provider::listen(answer, Some(authority.server_for(name)));
        let config = format!("{}jwks_ca_file = '{}'\n", provider.config(), authority.path());
        let broker = Broker::with_file(&config, &[]);
        eventually(expected, || broker.log().contains(expected).then_some(()));
        publish_with(broker.address(), "a", "x", Some(&key.token())).check_problem(503, "unavailable");
    }
    assert_eq!(elsewhere.asked(), 0);
}

#[test]
fn other_credentials_do_not_wait_for_a_provider_that_does_not_answer() {
    let provider = Provider::start(Vec::new());
    let config = format!("{}secret = '{}'\n", provider.config(), fanwire_tests::SECRET);
    let broker = Broker::with_file(&config, &[]);
    let begun = Instant::now();
    assert_eq!(status(&broker, &fanwire_tests::token_for("ann", &["a"], &[])), 200);
    assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
}
