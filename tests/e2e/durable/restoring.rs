//! Losing commits and restoring backups: positions that clients know are never assigned a second time.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use fanwire_tests::{Broker, DataDirectory, WebSocket, binary, eventually, get, post, temporary};
use serde_json::{Value, json};

use super::DURABLE;

fn publish(address: SocketAddr, range: std::ops::RangeInclusive<u32>) -> Value {
    let mut last = Value::Null;
    for number in range {
        let answer = post(address, "/topics/a", "text/plain", number.to_string().as_bytes());
        assert_eq!(answer.status, 200, "{}", answer.text());
        last = answer.json();
    }
    last
}

/// Resumes after the position of a receipt on every transport, and checks that each reports that something is missing.
fn check_loss_is_reported(address: SocketAddr, receipt: &Value) {
    let since = json!({"epoch": receipt["epoch"], "offset": receipt["offset"]});
    let mut socket = WebSocket::open(address, "/ws");
    let reply = socket.ask(&json!({"type": "subscribe", "id": 1, "topic": "a", "since": since}));
    assert_eq!(reply["recovered"], false, "{reply}");
    let cursor = format!("{}:{}", receipt["epoch"].as_str().expect("text"), receipt["offset"]);
    let page = get(address, &format!("/topics/a?since={cursor}")).json();
    assert_eq!(page["gap"], true, "{page}");
}

/// The files of a folder with their content.
fn contents(directory: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let entries =
        fs::read_dir(directory).expect("the directory is there").map(|entry| entry.expect("an entry").path());
    entries.map(|path| (path.clone(), fs::read(path).expect("a file"))).collect()
}

#[test]
fn a_lost_tail_of_the_log_is_a_gap_and_never_silent() {
    let directory = DataDirectory::new();
    let broker = directory.serve(DURABLE);
    publish(broker.address(), 1..=10);
    let log = directory.path().join("fanwire.db-wal");
    let length = fs::metadata(&log).expect("the log is there").len();
    let newest = publish(broker.address(), 11..=20);
    broker.kill();
    fs::File::options()
        .write(true)
        .open(&log)
        .expect("the log is there")
        .set_len(length)
        .expect("it can be cut");
    let broker = directory.serve(DURABLE);
    assert!(broker.log().contains("lacks the last 10 publications"), "{}", broker.log());
    publish(broker.address(), 101..=120);
    check_loss_is_reported(broker.address(), &newest);
    assert_eq!(get(broker.address(), "/readyz").status, 200);
}

#[test]
fn a_kill_without_loss_keeps_every_position() {
    let directory = DataDirectory::new();
    let broker = directory.serve(DURABLE);
    let first = publish(broker.address(), 1..=5);
    broker.kill();
    let broker = directory.serve(DURABLE);
    let next = publish(broker.address(), 6..=6);
    assert_eq!((&next["epoch"], &next["offset"]), (&first["epoch"], &json!(6)));
    assert!(!broker.log().contains("new epoch"), "{}", broker.log());
}

#[test]
fn a_directory_put_back_file_by_file_is_a_gap_and_never_silent() {
    let directory = DataDirectory::new();
    let mut broker = directory.serve(DURABLE);
    publish(broker.address(), 1..=10);
    broker.terminate();
    assert!(broker.wait().success());
    let saved = contents(directory.path());
    let broker = directory.serve(DURABLE);
    let newest = publish(broker.address(), 11..=20);
    broker.kill();
    fs::remove_dir_all(directory.path()).expect("the directory is there");
    fs::create_dir(directory.path()).expect("it can be made");
    for (path, content) in saved {
        fs::write(path, content).expect("a file can be written");
    }
    let broker = directory.serve(DURABLE);
    publish(broker.address(), 101..=120);
    check_loss_is_reported(broker.address(), &newest);
}

fn copy(from: &Path, to: &Path) {
    let mut command = Command::new("cp");
    command.arg("-a").arg(from.join(".")).arg(to);
    assert!(command.status().expect("cp starts").success());
}

#[test]
fn a_copy_of_a_running_broker_put_over_its_files_is_a_gap_and_never_silent() {
    let (directory, saved) = (DataDirectory::new(), DataDirectory::new());
    let mut broker = directory.serve(DURABLE);
    publish(broker.address(), 1..=10);
    copy(directory.path(), saved.path());
    let newest = publish(broker.address(), 11..=20);
    broker.terminate();
    assert!(broker.wait().success(), "{}", broker.log());
    copy(saved.path(), directory.path());
    let broker = directory.serve(DURABLE);
    assert!(broker.log().contains("two marks"), "{}", broker.log());
    publish(broker.address(), 101..=120);
    check_loss_is_reported(broker.address(), &newest);
}

/// The number of places at which a restore can be aborted (see `store.restore` in `broker/src/failpoint.rs`).
const RESTORE_STEPS: usize = 6;

/// Runs `fanwire COMMAND --data-dir DIRECTORY TARGET` with failpoints, and returns whether it succeeded and its errors.
fn call(command: &str, directory: &DataDirectory, target: &Path, failpoints: &str) -> (bool, String) {
    let output = Command::new(binary())
        .args([command, "--data-dir", directory.text()])
        .arg(target)
        .env("FANWIRE_FAILPOINTS", failpoints)
        .output()
        .expect("it runs");
    (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn a_restore_that_is_aborted_at_any_step_leaves_the_old_state_or_the_new_one_and_can_be_repeated() {
    for step in 1..=RESTORE_STEPS {
        let (directory, backup) = (DataDirectory::new(), temporary("backup"));
        let mut broker = directory.serve(DURABLE);
        publish(broker.address(), 1..=10);
        assert!(call("backup", &directory, &backup, "").0);
        let newest = publish(broker.address(), 11..=20);
        broker.terminate();
        assert!(broker.wait().success(), "{}", broker.log());
        let (succeeded, said) = call("restore", &directory, &backup, &format!("store.restore=abort({step})"));
        assert!(!succeeded, "step {step} was never reached: {said}");

        let mut broker = directory.serve(DURABLE);
        let page = get(broker.address(), "/topics/a?since=earliest").json();
        let held = page["messages"].as_array().map(Vec::len);
        let next = publish(broker.address(), 101..=101);
        if next["epoch"] == newest["epoch"] {
            assert_eq!((held, next["offset"].as_u64()), (Some(20), Some(21)), "step {step}: {page}");
        } else {
            assert!([Some(10), Some(20)].contains(&held), "step {step}: {page}");
            check_loss_is_reported(broker.address(), &newest);
        }
        broker.terminate();
        assert!(broker.wait().success(), "{}", broker.log());

        let (succeeded, said) = call("restore", &directory, &backup, "");
        if !succeeded {
            let kept = directory.path().join("fanwire.db.before-restore");
            assert!(said.contains("move it away") && said.contains("before-restore"), "step {step}: {said}");
            fs::rename(&kept, temporary("kept")).expect("it is there");
            let (succeeded, said) = call("restore", &directory, &backup, "");
            assert!(succeeded, "step {step}: {said}");
        }
        let broker = directory.serve(DURABLE);
        let page = get(broker.address(), "/topics/a?since=earliest").json();
        assert_eq!(page["messages"].as_array().map(Vec::len), Some(10), "step {step}: {page}");
        check_loss_is_reported(broker.address(), &newest);
        fs::remove_dir_all(backup).expect("it is ours");
    }
}

/// The commands of a section of docs/history.md, block by block.
fn commands(heading: &str) -> Vec<String> {
    let page =
        fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/history.md")).expect("the page");
    let section =
        page.split(heading).nth(1).expect("the section").split("\n## ").next().expect("its text").to_owned();
    section
        .split("```sh\n")
        .skip(1)
        .map(|block| block.split("```").next().expect("its end").to_owned())
        .collect()
}

/// A folder with `fanwire` and a `systemctl` that leaves a file for each request and waits for it to go.
fn tools() -> PathBuf {
    let tools = temporary("tools");
    fs::create_dir(&tools).expect("it can be made");
    std::os::unix::fs::symlink(fs::canonicalize(binary()).expect("the binary"), tools.join("fanwire"))
        .expect("a link");
    let script =
        format!("#!/bin/sh\ntouch {0}/$1\nwhile [ -e {0}/$1 ]; do sleep 0.02; done\n", tools.display());
    fs::write(tools.join("systemctl"), script).expect("a file can be written");
    fs::set_permissions(tools.join("systemctl"), fs::Permissions::from_mode(0o755)).expect("it is ours");
    tools
}

/// Runs a block of the page as it stands there, but for the two folders. `on_request` does what `systemctl` is asked for.
fn run(block: &str, tools: &Path, directory: &DataDirectory, mut on_request: impl FnMut(&str)) {
    let script = block
        .replace("/var/lib/fanwire", directory.text())
        .replace("/var/backups", tools.to_str().expect("temporary folders have plain names"));
    let path = format!("{}:{}", tools.display(), std::env::var("PATH").expect("a PATH"));
    let mut shell = Command::new("sh")
        .args(["-e", "-c", &script])
        .env("PATH", path)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .expect("a shell");
    let status = eventually("the commands of the page end", || {
        for request in ["stop", "start"] {
            if tools.join(request).exists() {
                on_request(request);
                fs::remove_file(tools.join(request)).expect("it was there");
            }
        }
        shell.try_wait().expect("it is our child")
    });
    assert!(status.success(), "{script}");
}

#[test]
fn a_backup_is_restored_as_the_page_says_and_newer_positions_are_a_gap() {
    let (directory, tools) = (DataDirectory::new(), tools());
    let blocks = commands("### Backup and restore");
    let [backup, restore] = blocks.as_slice() else { panic!("the page shows other commands: {blocks:?}") };
    let running = directory.serve(DURABLE);
    publish(running.address(), 1..=10);
    run(backup, &tools, &directory, |request| panic!("nothing is asked for: {request}"));
    let newest = publish(running.address(), 11..=20);
    let mut broker = Some(running);
    run(restore, &tools, &directory, |request| match (request, broker.take()) {
        ("stop", Some(mut running)) => {
            running.terminate();
            assert!(running.wait().success(), "{}", running.log());
        }
        ("start", None) => broker = Some(directory.serve(DURABLE)),
        (request, _) => panic!("{request} is asked for at the wrong time"),
    });
    let broker: Broker = broker.expect("the page starts the broker again");
    assert!(directory.path().join("fanwire.db.before-restore").exists());
    let page = get(broker.address(), "/topics/a?since=earliest").json();
    assert_eq!(page["messages"].as_array().map(Vec::len), Some(10), "{page}");
    publish(broker.address(), 101..=120);
    check_loss_is_reported(broker.address(), &newest);
    let mode = |path: &Path| fs::metadata(path).expect("it is there").permissions().mode() & 0o777;
    assert_eq!(mode(&tools.join("fanwire-monday")), 0o700);
    assert_eq!(mode(&tools.join("fanwire-monday/fanwire.db")), 0o600);
    assert_eq!(mode(&directory.path().join("fanwire.db")), 0o600);
    let _left_behind = fs::remove_dir_all(tools);
}

#[test]
fn a_restore_under_a_running_broker_is_refused_with_what_to_do() {
    let (directory, elsewhere) = (DataDirectory::new(), DataDirectory::new());
    let broker = directory.serve(DURABLE);
    publish(broker.address(), 1..=1);
    let call = |command: &str, argument: &str| {
        Command::new(binary())
            .args([command, "--data-dir", directory.text(), argument])
            .output()
            .expect("it runs")
    };
    assert!(call("backup", elsewhere.text()).status.success());
    let refused = call("restore", elsewhere.text());
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && said.contains("in use by another broker"), "{said}");
    let again = call("backup", elsewhere.text());
    let said = String::from_utf8_lossy(&again.stderr).into_owned();
    assert!(!again.status.success() && said.contains("exists already"), "{said}");
}
