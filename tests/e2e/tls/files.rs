//! Files of the operator that block or never end: no file may freeze or fill the broker.

use std::process::Command;

use fanwire_tests::{Broker, Certificate, PATIENCE, binary, eventually};

/// The output of a start that must fail soon.
fn refused_start(settings: &[String]) -> String {
    let mut command = Command::new("timeout");
    command.arg(PATIENCE.as_secs().to_string()).arg(binary()).args(["serve", "--listen", "127.0.0.1:0"]);
    for setting in settings {
        command.args(["--set", setting]);
    }
    let output = command.output().expect("the binary starts");
    assert!(!output.status.success());
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn fifo() -> std::path::PathBuf {
    let path = fanwire_tests::temporary("fifo");
    assert!(Command::new("mkfifo").arg(&path).status().expect("mkfifo starts").success());
    path
}

#[test]
fn a_path_that_is_no_regular_file_stops_the_start_at_once() {
    let certificate = Certificate::new();
    let fifo = fifo();
    let endless = "/dev/zero".to_owned();
    for path in [fifo.display().to_string(), endless] {
        for settings in [
            vec![format!("tls.certificate={path}"), certificate.settings()[1].clone()],
            vec![certificate.settings()[0].clone(), format!("tls.key={path}")],
            vec![format!("auth.secret_file={path}")],
            vec![format!("auth.public_key_file={path}")],
            vec!["auth.jwks_url=https://id.example/keys".to_owned(), format!("auth.jwks_ca_file={path}")],
            vec!["hooks.url=https://app.example/hook".to_owned(), format!("hooks.secret_file={path}")],
        ] {
            let said = refused_start(&settings);
            assert!(said.contains("not a regular file") && said.contains(&path), "{settings:?}: {said}");
        }
    }
    std::fs::remove_file(&fifo).expect("the FIFO is there");
}

#[test]
fn a_certificate_that_becomes_a_fifo_does_not_freeze_the_broker() {
    let certificate = Certificate::new();
    let settings = certificate.settings();
    let settings: Vec<&str> = settings.iter().map(String::as_str).collect();
    let broker = Broker::with(&settings);
    let is_served = || {
        let mut http = certificate.connect(broker.address());
        http.send(b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        http.read().status == 200
    };
    // Once it serves, it follows signals.
    assert!(is_served());
    std::fs::remove_file(certificate.path()).expect("the certificate is there");
    assert!(Command::new("mkfifo").arg(certificate.path()).status().expect("mkfifo starts").success());
    broker.reload();
    eventually("the certificate is refused", || broker.log().contains("not a regular file").then_some(()));
    assert!(is_served(), "connections are accepted with the old certificate");
}

#[test]
fn a_secret_that_every_user_can_read_is_a_warning() {
    use std::os::unix::fs::PermissionsExt;
    let path = fanwire_tests::temporary("secret");
    for (mode, expected) in [(0o644, true), (0o640, false)] {
        std::fs::write(&path, "0123456789abcdef0123456789abcdef").expect("a file can be written");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).expect("the mode can be set");
        let broker = Broker::with(&[&format!("auth.secret_file={}", path.display())]);
        let log = broker.log();
        let warnings = log.matches("every user of this machine can read").count();
        assert_eq!(warnings, usize::from(expected), "{mode:o}: {log}");
    }
    std::fs::remove_file(&path).expect("the file is there");
}
