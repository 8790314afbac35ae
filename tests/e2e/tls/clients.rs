//! The Rust client and the subcommands that use it, under TLS: which certificates they trust, and which errors they give for the others.

use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Command, Output};
use std::sync::Arc;

use fanwire_client::{Client, Encoding, Error, Event};
use fanwire_tests::{Broker, Certificate, PATIENCE, binary};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// A free port of this machine.
const HERE: &str = "127.0.0.1:0";

fn broker(certificate: &Certificate) -> Broker {
    let [own, key] = certificate.settings();
    Broker::with(&[own.as_str(), key.as_str()])
}

fn pem(certificate: &Certificate) -> Vec<u8> {
    std::fs::read(certificate.path()).expect("it was written")
}

/// A server at a free port that shows a foreign certificate to its first connection.
fn show(certificate: &Certificate, at: &str) -> SocketAddr {
    let listener = TcpListener::bind(at).expect("a free port");
    let address = listener.local_addr().expect("it has one");
    let own = CertificateDer::from_pem_file(certificate.path()).expect("a certificate");
    let key = PrivateKeyDer::from_pem_file(certificate.key_path()).expect("a key");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("the provider knows the versions")
        .with_no_client_auth()
        .with_single_cert(vec![own], key)
        .expect("they fit");
    std::thread::spawn(move || {
        let (mut socket, _) = listener.accept().expect("a connection arrives");
        let mut connection = rustls::ServerConnection::new(Arc::new(config)).expect("the settings fit");
        while connection.is_handshaking() && connection.complete_io(&mut socket).is_ok() {}
    });
    address
}

fn block_on<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async { tokio::time::timeout(PATIENCE, work).await.expect("it ends in time") })
}

/// The error for a server at `url` that is not trusted.
fn check_untrusted(url: &str, authorities: Option<Vec<u8>>, expected: &str) {
    let mut builder = Client::builder();
    if let Some(authorities) = authorities {
        builder = builder.authorities(authorities);
    }
    let error = block_on(builder.connect(url)).expect_err("no certificate here is trusted");
    assert!(matches!(error, Error::Untrusted { .. }), "{error:?}");
    assert!(error.to_string().contains(expected) && error.to_string().contains("wss://"), "{error}");
}

#[test]
fn messages_go_both_ways_under_tls_in_both_encodings() {
    let certificate = Certificate::new();
    let broker = broker(&certificate);
    for (scheme, encoding) in [("wss", Encoding::Json), ("https", Encoding::MessagePack)] {
        let url = format!("{scheme}://localhost:{}", broker.address().port());
        block_on(async {
            let builder = Client::builder().encoding(encoding).authorities(pem(&certificate));
            let client = builder.connect(&url).await.expect("it is trusted");
            let mut messages = client.subscribe("a").await.expect("it may");
            let large = "x".repeat(900_000);
            client.publish("a", large.as_str()).await.expect("it may");
            let message = messages.next().await.and_then(Event::into_message).expect("it comes");
            assert_eq!(message.payload.len(), large.len());
            client.close().await;
        });
    }
}

#[test]
fn each_reason_for_distrust_has_its_own_error() {
    let (certificate, other) = (Certificate::new(), Certificate::new());
    let broker = broker(&certificate);
    let port = broker.address().port();
    let url = format!("wss://localhost:{port}");
    check_untrusted(&url, None, "signed by no trusted authority");
    check_untrusted(&url, Some(pem(&other)), "certificate");
    // The certificate is for 127.0.0.1 and localhost only.
    let elsewhere = show(&certificate, "127.0.0.2:0");
    check_untrusted(&format!("wss://{elsewhere}"), Some(pem(&certificate)), "for other names");
    let expired = Certificate::between(2020, 2021);
    check_untrusted(&format!("wss://{}", show(&expired, HERE)), Some(pem(&expired)), "has expired");
    let early = Certificate::between(2088, 2090);
    check_untrusted(&format!("wss://{}", show(&early, HERE)), Some(pem(&early)), "not valid yet");
    let plain = Broker::start(&[]);
    check_untrusted(&format!("wss://{}", plain.address()), None, "does not speak TLS here");
    let error =
        block_on(Client::builder().connect(&format!("ws://localhost:{port}"))).expect_err("it wants TLS");
    assert!(error.to_string().contains("TLS"), "{error}");
    let error =
        block_on(Client::builder().authorities(*b"rubbish").connect(&url)).expect_err("no certificate");
    assert!(matches!(error, Error::InvalidAuthorities { .. }), "{error:?}");
}

fn run(arguments: &[&str]) -> Output {
    Command::new(binary()).args(arguments).env_remove("FANWIRE_URL").output().expect("it starts")
}

fn check_run(arguments: &[&str], expected: &str) {
    let output = run(arguments);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    match expected {
        "" => assert!(output.status.success(), "{arguments:?}: {said}"),
        _ => assert!(!output.status.success() && said.contains(expected), "{arguments:?}: {said}"),
    }
}

#[test]
fn the_subcommands_speak_tls() {
    let (certificate, other) = (Certificate::new(), Certificate::new());
    let broker = broker(&certificate);
    let text = |path: &Path| path.to_str().expect("a plain name").to_owned();
    let (ca, foreign) = (text(&certificate.path()), text(&other.path()));
    let url = format!("https://localhost:{}", broker.address().port());
    check_run(&["pub", "--url", &url, "--ca-file", &ca, "a", "hello"], "");
    let output = run(&["sub", "--url", &url, "--ca-file", &ca, "--no-follow", "a"]);
    assert!(String::from_utf8_lossy(&output.stdout).contains("hello"), "{output:?}");
    check_run(&["pub", "--url", &url, "a", "x"], "--ca-file");
    check_run(&["sub", "--url", &url, "--ca-file", "/nonexistent/ca.pem", "a"], "/nonexistent/ca.pem");
    let ready = format!("{url}/readyz");
    check_run(&["health", "--url", &ready, "--ca-file", &ca], "");
    check_run(&["health", "--url", &ready, "--insecure"], "");
    check_run(&["health", "--url", &ready], "--ca-file");
    check_run(&["health", "--url", &ready, "--ca-file", &foreign], "certificate");
    check_run(&["health", "--url", &ready, "--ca-file", "/nonexistent/ca.pem"], "/nonexistent/ca.pem");
    check_run(&["health", "--url", &ready, "--ca-file", &ca, "--insecure"], "cannot be used with");
    let expired = Certificate::between(2020, 2021);
    let (shown, own) = (format!("https://{}/readyz", show(&expired, HERE)), text(&expired.path()));
    check_run(&["health", "--url", &shown, "--ca-file", &own], "expired");
}
