//! `fanwire token`, `check` and `config` at a terminal.

use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

const SECRET: &str = "a secret of these tests, long enough";

fn run(arguments: &[&str], variables: &[(&str, &str)], input: &str) -> Output {
    use std::io::Write;
    let mut child = Command::new(env!("CARGO_BIN_EXE_fanwire"))
        .args(arguments)
        .env_remove("FANWIRE_CONFIG")
        .env_remove("FANWIRE_AUTH_SECRET")
        .envs(variables.iter().copied())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A program that does not read its input may have ended by now.
    let _unread = child.stdin.take().unwrap().write_all(input.as_bytes());
    child.wait_with_output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// A file that is gone when the test is over.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str, content: &str) -> Self {
        let path = std::env::temp_dir().join(format!("fanwire-cli-{}-{name}", std::process::id()));
        std::fs::write(&path, content).unwrap();
        Self(path)
    }

    fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _gone_already = std::fs::remove_file(&self.0);
    }
}

#[test]
fn a_token_that_was_made_is_read_again() {
    let secret = Scratch::new("secret", &format!("{SECRET}\n"));
    let made = run(
        &[
            "token",
            "make",
            "--secret-file",
            secret.path(),
            "--user",
            "ann",
            "--publish",
            "a.*",
            "--subscribe",
            "b.>",
            "--info",
            "{\"name\":\"Ann\"}",
            "--expires",
            "15m",
            "--audience",
            "chat",
            "--key-id",
            "k1",
        ],
        &[],
        "",
    );
    assert!(made.status.success(), "{}", text(&made.stderr));
    let token = text(&made.stdout);
    let read = run(&["token", "inspect", "--secret-file", secret.path()], &[], &token);
    assert!(read.status.success(), "{}", text(&read.stderr));
    let claims: serde_json::Value = serde_json::from_slice(&read.stdout).unwrap();
    assert_eq!((&claims["sub"], &claims["aud"][0]), (&"ann".into(), &"chat".into()));
    assert_eq!(claims["fanwire"]["info"]["name"], "Ann");
    let said = text(&read.stderr);
    assert!(
        said.contains("signature  good") && said.contains("key        k1") && said.contains("expires in"),
        "{said}"
    );
    let other = run(
        &["token", "inspect", "--secret-file", Scratch::new("other", &"x".repeat(40)).path()],
        &[],
        &token,
    );
    assert!(!other.status.success());
    let unchecked = run(&["token", "inspect"], &[], &token);
    assert!(unchecked.status.success() && text(&unchecked.stderr).contains("not checked"));
}

#[test]
fn what_cannot_be_signed_is_said_in_one_line_without_the_secret() {
    let check = |arguments: &[&str], secret: &str, mention: &str| {
        let variables = [("FANWIRE_AUTH_SECRET", secret)];
        let output = run(&[&["token", "make"], arguments].concat(), &variables, "");
        let said = text(&output.stderr);
        assert!(!output.status.success() && said.lines().count() == 1 && said.contains(mention), "{said}");
        assert!(secret.is_empty() || !said.contains(secret), "{said}");
    };
    check(&[], "", "no key to sign with");
    check(&[], "short and sweet", "at least 32");
    check(&["--publish", "a..b"], SECRET, "'a..b' is not a pattern");
    check(&["--info", "{"], SECRET, "not JSON");
    check(&["--algorithm", "ES256"], SECRET, "private key");
    check(&["--secret-file", "/nowhere"], SECRET, "/nowhere");
    let rubbish = run(&["token", "inspect"], &[], "rubbish");
    assert!(!rubbish.status.success() && text(&rubbish.stderr).contains("malformed"));
}

#[test]
fn a_key_that_was_made_is_a_configuration() {
    let made = run(&["token", "key", "shop", "--publish", "orders.>", "--admin"], &[], "");
    let lines = text(&made.stdout);
    let key = lines.lines().find_map(|line| line.strip_prefix("# fwk_")).expect("the key is shown");
    assert!(made.status.success() && key.len() == 43, "{lines}");
    let file = Scratch::new("key.toml", &lines);
    let checked = run(&["check", "--config", file.path()], &[], "");
    assert!(checked.status.success(), "{}", text(&checked.stderr));
    assert!(
        text(&checked.stdout).contains("requires keys; 1 topic rules, 1 API keys"),
        "{}",
        text(&checked.stdout)
    );
}

#[test]
fn the_printed_configuration_is_good_and_a_bad_one_is_told_by_its_line() {
    let printed = run(&["config"], &[], "");
    let file = Scratch::new("defaults.toml", &text(&printed.stdout));
    let checked = run(&["check", "--config", file.path()], &[], "");
    assert!(checked.status.success(), "{}", text(&checked.stderr));
    assert!(text(&checked.stdout).starts_with("valid: listens on 127.0.0.1:7400, requires no credentials"));
    for (content, mention) in [
        (
            "open = true\n[limits]\nmesage_bytes_max = 1\n",
            "bad.toml:3: unknown key 'limits.mesage_bytes_max'",
        ),
        ("listen = \"0.0.0.0:7400\"\n", "write [auth]"),
        ("[auth]\nsecret_file = \"/nowhere\"\n", "auth.secret_file: cannot read /nowhere"),
        ("[[key]]\nname = \"a\"\nhash = \"fwk_oops\"\n", "bad.toml:3: bad value for 'key.hash'"),
        ("[[key]]\nname = \"a\"\n", "'key.hash' is missing"),
        (
            "open = true\n[auth]\nsecret = \"0123456789012345678901234567890123\"\n",
            "bad.toml:1: bad value for 'open'",
        ),
    ] {
        let file = Scratch::new("bad.toml", content);
        let checked = run(&["check", "--config", file.path()], &[], "");
        let said = text(&checked.stderr);
        assert!(
            !checked.status.success() && said.lines().count() == 1 && said.contains(mention),
            "{content}: {said}"
        );
        assert!(!said.contains("fwk_oops") && !said.contains("0123456789"), "{said}");
    }
}
