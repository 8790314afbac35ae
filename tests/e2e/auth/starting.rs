//! When a broker refuses to start, or to serve, because it would be open to too many.

use std::process::{Command, Stdio};

use fanwire_tests::{SECRET, binary};

/// Starts a broker that must not start, and returns what it says.
fn refused(arguments: &[&str], variables: &[(&str, &str)]) -> String {
    let mut command = Command::new(binary());
    command.arg("serve").args(arguments).stdin(Stdio::null()).stdout(Stdio::null());
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("FANWIRE_") {
            command.env_remove(name);
        }
    }
    let output = command.envs(variables.iter().copied()).output().expect("the binary runs");
    assert!(!output.status.success(), "{arguments:?} must not start");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn a_broker_that_would_be_open_to_all_says_what_to_write() {
    let said = refused(&["--listen", "0.0.0.0:0"], &[]);
    for word in ["0.0.0.0:0", "[auth]", "secret_file", "--open", "127.0.0.1"] {
        assert!(said.contains(word), "{word} in {said}");
    }
}

#[test]
fn contradictions_and_short_secrets_stop_the_start_and_are_not_repeated() {
    let secret = [("FANWIRE_AUTH_SECRET", SECRET)];
    let said = refused(&["--open"], &secret);
    assert!(said.contains("'--open'") && said.contains("auth.anonymous") && !said.contains(SECRET), "{said}");
    let said = refused(&["--set", &format!("auth.secret={SECRET}")], &[]);
    assert!(said.contains("secret_file") && !said.contains(SECRET), "{said}");
    let said = refused(&[], &[("FANWIRE_AUTH_SECRET", "short and sweet")]);
    assert!(said.contains("auth.secret") && said.contains("32") && !said.contains("sweet"), "{said}");
    let said = refused(&["--set", "auth.secret_file=/nowhere/at-all"], &[]);
    assert!(said.contains("auth.secret_file") && said.contains("/nowhere/at-all"), "{said}");
    let said = refused(&["--set", "auth.algorithms=ES256"], &secret);
    assert!(said.contains("ES256") && said.contains("auth.algorithms"), "{said}");
    let said = refused(&["--set", "auth.cookie=seat", "--set", "origins=*"], &secret);
    assert!(said.contains("origins") || said.contains("origin"), "{said}");
}
