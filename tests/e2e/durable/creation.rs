//! The first start on a data directory, ended in the middle: the next start accepts what is left.

use std::fs;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use fanwire_tests::{DataDirectory, binary, eventually, post, temporary};

use super::DURABLE;

/// The number of places at which creating a database can be aborted (see `store.create` in `broker/src/failpoint.rs`).
const STEPS: usize = 6;

/// The number of first starts that are killed at random moments.
const KILLS: u64 = 30;

/// The time within which a first start has created everything, in microseconds; kills are spread over it.
const CREATION_US: u64 = 30_000;

/// Starts a broker that is expected to end early, with failpoints.
fn first_start(directory: &DataDirectory, failpoints: &str) -> std::process::Child {
    let file = temporary("toml");
    fs::write(&file, DURABLE).expect("a file can be written");
    let mut command = Command::new(binary());
    command.args(["serve", "--listen", "127.0.0.1:0", "--workers", "1", "--data-dir", directory.text()]);
    command.arg("--config").arg(&file);
    if !failpoints.is_empty() {
        command.env("FANWIRE_FAILPOINTS", failpoints);
    }
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().expect("the binary runs")
}

fn check_next_start(directory: &DataDirectory, what: &str) {
    for offset in 1..=2 {
        let broker = directory.serve(DURABLE);
        let receipt = post(broker.address(), "/topics/a", "text/plain", b"x").json();
        assert_eq!(receipt["offset"], offset, "{what}: {receipt}");
        assert!(!broker.log().contains("new epoch"), "{what}: {}", broker.log());
        broker.kill();
    }
}

#[test]
fn a_first_start_that_is_aborted_at_any_step_leaves_what_the_next_accepts() {
    for step in 1..=STEPS {
        let directory = DataDirectory::new();
        let mut child = first_start(&directory, &format!("store.create=abort({step})"));
        let status = eventually("the broker aborts", || child.try_wait().expect("it is our child"));
        assert!(!status.success(), "step {step} was never reached");
        check_next_start(&directory, &format!("step {step}"));
    }
}

#[test]
fn a_first_start_that_is_killed_at_any_moment_leaves_what_the_next_accepts() {
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    for kill in 0..KILLS {
        let directory = DataDirectory::new();
        let mut child = first_start(&directory, "");
        // The first file is the lock; what follows takes some milliseconds.
        eventually("the data directory is in use", || fs::read_dir(directory.path()).ok()?.next().map(drop));
        let end = Instant::now() + Duration::from_micros(random.u64(0..CREATION_US));
        while Instant::now() < end {
            std::hint::spin_loop();
        }
        child.kill().expect("it is our child");
        child.wait().expect("it is our child");
        check_next_start(&directory, &format!("seed {seed}, kill {kill}"));
    }
}
