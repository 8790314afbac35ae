//! Data directories that cannot be used: each stops the start with a sentence that says why and what to do.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Output};

use fanwire_tests::{DataDirectory, binary, get, post, temporary};

use super::DURABLE;

/// Tries to start a broker with a configuration and more arguments, which must fail.
fn refused(config: &str, arguments: &[&str]) -> String {
    let file = temporary("toml");
    fs::write(&file, config).expect("a file can be written");
    let mut command = Command::new(binary());
    command.args(["serve", "--listen", "127.0.0.1:0", "--config"]).arg(&file).args(arguments);
    let Output { status, stdout, stderr } = command.output().expect("the binary runs");
    let _left_behind = fs::remove_file(&file);
    let said = String::from_utf8(stderr).expect("text");
    assert!(!status.success(), "it started: {said}");
    assert!(stdout.is_empty(), "it said that it listens before it failed");
    said
}

fn check(directory: &DataDirectory, words: &[&str]) {
    let said = refused(DURABLE, &["--data-dir", directory.text()]);
    for word in words {
        assert!(said.contains(word), "'{word}' is not in: {said}");
    }
}

#[test]
fn a_durable_rule_without_a_directory_is_refused_with_its_line() {
    let said = refused(DURABLE, &[]);
    assert!(said.contains("toml:3: bad value for 'topic.durable'") && said.contains("--data-dir"), "{said}");
}

#[test]
fn a_durable_rule_that_keeps_nothing_is_refused_with_its_line() {
    let said =
        refused("[[topic]]\nmatch = '>'\nhistory = false\ndurable = true\n", &["--data-dir", "/nowhere"]);
    assert!(
        said.contains("toml:4: bad value for 'topic.durable'") && said.contains("history = false"),
        "{said}"
    );
}

#[test]
fn a_second_broker_on_one_directory_is_refused() {
    let directory = DataDirectory::new();
    let _first = directory.serve(DURABLE);
    check(&directory, &["in use by another broker", directory.text()]);
}

#[test]
fn a_directory_whose_parent_does_not_exist_is_not_made() {
    let directory = DataDirectory::new();
    let inner = format!("{}/inner", directory.text());
    let said = refused(DURABLE, &["--data-dir", &inner]);
    assert!(said.contains("does not exist") && said.contains(&inner), "{said}");
}

#[test]
fn a_text_file_in_its_place_is_left_as_it_is() {
    let directory = DataDirectory::new();
    fs::write(directory.path(), "notes").expect("a file can be written");
    check(&directory, &["is not a directory"]);
    assert_eq!(fs::read_to_string(directory.path()).expect("it is there"), "notes");
    fs::remove_file(directory.path()).expect("it can be removed");
}

#[test]
fn a_text_file_as_database_is_left_as_it_is() {
    let directory = DataDirectory::new();
    fs::create_dir(directory.path()).expect("a folder can be made");
    let database = directory.path().join("fanwire.db");
    fs::write(&database, "a shopping list".repeat(100)).expect("a file can be written");
    check(&directory, &["is not a fanwire database", "fanwire.db"]);
    assert_eq!(fs::read_to_string(database).expect("it is there"), "a shopping list".repeat(100));
}

#[test]
fn a_directory_that_cannot_be_written_is_refused() {
    let directory = DataDirectory::new();
    fs::create_dir(directory.path()).expect("a folder can be made");
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o555)).expect("it is ours");
    // The superuser may write anywhere, so there the lock is made a folder, which cannot be written into as a file.
    if fs::write(directory.path().join("probe"), "").is_ok() {
        fs::remove_file(directory.path().join("probe")).expect("it is there");
        fs::create_dir(directory.path().join("fanwire.lock")).expect("a folder can be made");
        check(&directory, &["cannot be opened", directory.text()]);
    } else {
        check(&directory, &["cannot be written", directory.text()]);
    }
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755)).expect("it is ours");
}

#[test]
fn a_damaged_database_is_left_as_it_is() {
    let directory = DataDirectory::new();
    let mut broker = directory.serve(DURABLE);
    assert_eq!(get(broker.address(), "/healthz").status, 200);
    broker.terminate();
    assert!(broker.wait().success());
    let database = directory.path().join("fanwire.db");
    let mut bytes = fs::read(&database).expect("the database is there");
    let header = 100;
    bytes[header..].fill(0xa5);
    fs::write(&database, &bytes).expect("it can be written");
    check(&directory, &["fanwire.db is damaged", "restore"]);
    assert_eq!(fs::read(&database).expect("it is there"), bytes);
}

#[test]
fn a_database_of_a_newer_version_is_left_as_it_is() {
    let directory = DataDirectory::new();
    let mut broker = directory.serve(DURABLE);
    assert_eq!(get(broker.address(), "/healthz").status, 200);
    broker.terminate();
    assert!(broker.wait().success());
    // The format's number is SQLite's user_version, four bytes at 60 (SQLite file format, §1.3.12).
    let database = directory.path().join("fanwire.db");
    let mut bytes = fs::read(&database).expect("the database is there");
    bytes[60..64].copy_from_slice(&99_u32.to_be_bytes());
    fs::write(&database, &bytes).expect("it can be written");
    check(&directory, &["newer broker", "99"]);
    assert_eq!(fs::read(&database).expect("it is there"), bytes);
}

#[test]
fn a_new_directory_and_its_files_are_for_their_owner_alone() {
    let directory = DataDirectory::new();
    let broker = directory.serve(DURABLE);
    let mode = |path: &std::path::Path| fs::metadata(path).expect("it is there").permissions().mode() & 0o777;
    assert_eq!(mode(directory.path()), 0o700);
    for entry in fs::read_dir(directory.path()).expect("the directory") {
        let path = entry.expect("an entry").path();
        assert_eq!(mode(&path), 0o600, "{}", path.display());
    }
    assert!(!broker.log().contains("every user"), "{}", broker.log());
}

#[test]
fn a_directory_or_file_that_every_user_can_read_or_change_is_a_warning_with_the_remedy() {
    let directory = DataDirectory::new();
    directory.serve(DURABLE).kill();
    let database = directory.path().join("fanwire.db");
    let with = |path: &std::path::Path, mode: u32| {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("it is ours");
    };
    with(directory.path(), 0o757);
    with(&database, 0o644);
    let log = directory.serve(DURABLE).log();
    for words in [
        format!("can change the data of durable topics in {0}: chmod 700 {0}", directory.text()),
        format!("can read the data of durable topics in {0}: chmod 600 {0}", database.display()),
    ] {
        assert!(log.contains(&words), "'{words}' is not in: {log}");
    }
    with(directory.path(), 0o700);
    let log = directory.serve(DURABLE).log();
    assert!(!log.contains("every user"), "no other user can enter the directory: {log}");
}

#[test]
fn a_directory_that_is_removed_or_replaced_under_the_broker_refuses_publishes_and_says_so() {
    for is_replaced in [false, true] {
        let directory = DataDirectory::new();
        let broker = directory.serve(DURABLE);
        let publish = || post(broker.address(), "/topics/a", "text/plain", b"x");
        assert_eq!(publish().status, 200);
        fs::remove_dir_all(directory.path()).expect("it is there");
        let _other = is_replaced.then(|| directory.serve(DURABLE));
        let refused = publish();
        assert_eq!(
            (refused.status, &refused.json()["code"]),
            (503, &"unavailable".into()),
            "{}",
            refused.text()
        );
        let ready = get(broker.address(), "/readyz");
        assert_eq!(ready.status, 503, "{}", ready.text());
        let log = broker.log();
        let what = if is_replaced { "was replaced" } else { "was removed" };
        assert!(log.contains(what) && log.contains("restart the broker"), "{log}");
    }
}
