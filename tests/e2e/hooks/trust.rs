//! How broker and application know each other: a secret that changes while they run, and certificates of a private authority.

use std::path::{Path, PathBuf};
use std::process::Command;

use fanwire_tests::{Application, Broker, Certificate, HOOKS_SECRET, WebSocket, binary, temporary};
use serde_json::{Value, json};

use super::allow;

const OTHER_SECRET: &str = "another secret of hooks in these tests";

/// A file that is removed at the end of the test.
struct File(PathBuf);

impl File {
    fn new(text: &str) -> Self {
        let file = Self(temporary("txt"));
        file.write(text);
        file
    }

    fn write(&self, text: &str) {
        std::fs::write(&self.0, text).expect("a file can be written");
    }

    fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for File {
    fn drop(&mut self) {
        // An error leaves a temporary file behind, which is harmless.
        let _left_behind = std::fs::remove_file(&self.0);
    }
}

/// Causes a callout and a webhook event.
fn happen(broker: &Broker, topic: &str) {
    let mut socket = WebSocket::open(broker.address(), "/ws");
    assert_eq!(socket.ask(&json!({"type": "subscribe", "id": 1, "topic": topic}))["type"], "subscribed");
}

#[test]
fn the_secret_is_read_from_a_file_and_again_on_reload() {
    let application = Application::start(allow);
    let secret = File::new(&format!("{HOOKS_SECRET}\n"));
    let config = application
        .config("callouts = ['subscribe']\n[webhooks]\nevents = ['occupied']\ndelay = '1ms'")
        .replace(
            &format!("secret = '{HOOKS_SECRET}'"),
            &format!("secret_file = '{}'", secret.path().display()),
        );
    let file = File::new(&config);
    let broker = Broker::start(&["--config", &file.path().display().to_string()]);
    happen(&broker, "a");
    let calls = application.await_calls(2);
    assert!(calls.iter().all(|call| call.is_signed_with(HOOKS_SECRET)), "{calls:?}");
    secret.write("short");
    broker.reload();
    fanwire_tests::eventually("the bad secret is complained about", || {
        broker.log().contains("the secret is too short").then_some(())
    });
    assert!(!broker.log().contains("short\""), "the log does not repeat it: {}", broker.log());
    happen(&broker, "b");
    let calls = application.await_calls(4);
    assert!(calls.iter().all(|call| call.is_signed_with(HOOKS_SECRET)), "the old one holds: {calls:?}");
    secret.write(OTHER_SECRET);
    broker.reload();
    fanwire_tests::eventually("the reload is done", || {
        broker.log().contains("configuration reloaded").then_some(())
    });
    happen(&broker, "c");
    let calls = application.await_calls(6);
    for call in &calls[4..] {
        assert!(call.is_signed_with(OTHER_SECRET), "{call:?}");
        assert!(!call.is_signed_with(HOOKS_SECRET), "{call:?}");
    }
    // Hooks that are removed from the configuration stay in force until the restart.
    file.write("");
    broker.reload();
    fanwire_tests::eventually("the reload is done", || {
        broker.log().contains("the other changes take a restart").then_some(())
    });
    happen(&broker, "d");
    let calls = application.await_calls(8);
    assert!(calls[6..].iter().all(|call| call.is_signed_with(OTHER_SECRET)), "{calls:?}");
}

#[test]
fn the_log_does_not_show_what_may_be_a_secret_of_the_application() {
    let url = "http://127.0.0.1:1/hook.php?key=a-key-of-the-application";
    let keys = "callouts = ['subscribe']\n[webhooks]\nevents = ['disconnect']\ndelay = '1ms'";
    let broker =
        Broker::with_file(&format!("[hooks]\nurl = '{url}'\nsecret = '{HOOKS_SECRET}'\n{keys}\n"), &[]);
    let mut socket = WebSocket::open(broker.address(), "/ws");
    assert_eq!(socket.ask(&json!({"type": "subscribe", "id": 1, "topic": "a"}))["type"], "error");
    drop(socket);
    fanwire_tests::eventually("both are complained about", || {
        let log = broker.log();
        let complaints = ["a callout to the application failed", "webhook events could not be delivered"];
        complaints.iter().all(|complaint| log.contains(complaint)).then_some(())
    });
    let log = broker.log();
    assert!(log.contains("http://127.0.0.1:1/hook.php"), "{log}");
    assert!(!log.contains("a-key-of-the-application"), "{log}");
}

#[test]
fn an_application_behind_a_private_authority_is_trusted_if_the_configuration_says_so() {
    let certificate = Certificate::new();
    // A broker stores what is posted to it: here a second broker is the application.
    let [shown, key] = certificate.settings();
    let application = Broker::with(&[&shown, &key]);
    let url = format!("https://localhost:{}/topics/reported", application.address().port());
    let config = |more: &str| {
        format!(
            "[hooks]\nurl = '{url}'\nsecret = '{HOOKS_SECRET}'\n{more}\n[webhooks]\nevents = ['occupied']\ndelay = '1ms'\n"
        )
    };
    let trusting = Broker::with_file(&config(&format!("ca_file = '{}'", certificate.path().display())), &[]);
    happen(&trusting, "a");
    trusting.await_metric("fanwire_webhook_events_delivered_total", 1.0);
    let mut http = certificate.connect(application.address());
    http.send(b"GET /topics/reported HTTP/1.1\r\nHost: localhost\r\n\r\n");
    let reported: Value = http.read().json();
    assert_eq!(reported["messages"][0]["data"]["events"][0]["topic"], "a", "{reported}");
    let wary = Broker::with_file(&config(""), &[]);
    happen(&wary, "a");
    fanwire_tests::eventually("the certificate is complained about", || {
        broker_complains(&wary, "certificate").then_some(())
    });
    assert_eq!(wary.metric("fanwire_webhook_events_delivered_total"), 0.0);
}

fn broker_complains(broker: &Broker, of: &str) -> bool {
    broker
        .log()
        .lines()
        .any(|line| line.contains("could not be delivered") && line.to_lowercase().contains(of))
}

#[test]
fn files_that_will_not_do_stop_the_start_and_the_check() {
    let short = File::new("too short");
    let none = temporary("none");
    let rubbish = File::new("-----BEGIN CERTIFICATE-----\nrubbish\n-----END CERTIFICATE-----\n");
    for (keys, reason) in [
        (format!("secret_file = '{}'", short.path().display()), "hooks.secret_file: "),
        (format!("secret_file = '{}'", none.display()), "hooks.secret_file: cannot read"),
        (format!("secret = '{HOOKS_SECRET}'\nca_file = '{}'", rubbish.path().display()), "hooks.ca_file: "),
        (format!("secret = '{HOOKS_SECRET}'\nca_file = '{}'", none.display()), "hooks.ca_file: cannot read"),
    ] {
        let file = File::new(&format!("[hooks]\nurl = 'https://localhost/'\n{keys}\n"));
        for command in [&["check"][..], &["serve", "--listen", "127.0.0.1:0"]] {
            let output = Command::new(binary())
                .args(command)
                .args(["--config", &file.path().display().to_string()])
                .output()
                .expect("the binary starts");
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(!output.status.success(), "{command:?} {keys}");
            assert!(said.contains(reason), "'{reason}' in {said}");
            assert!(!said.contains("too short\n-") && !said.contains(HOOKS_SECRET), "{said}");
        }
    }
}
