//! `kill -9` at random moments: everything that was acknowledged is there afterwards, once and in order.

use std::collections::{BTreeMap, HashSet};
use std::env;
use std::io::{self, BufRead, BufReader, Write};
use std::path::Path;
use std::process::{self, Child, Command, Stdio};
use std::sync::mpsc;

use super::{Scratch, append, bounds, epoch, keyed, open, topic};
use crate::store::{Append, Keep, Store};

/// Set for the child process; names the data directory.
const CHILD: &str = "FANWIRE_STORE_CRASH_CHILD";

const ROUNDS: u64 = 12;
const TOPICS: [&str; 3] = ["a", "b", "c"];
const OUTSTANDING: usize = 256;
const NOW: u64 = super::NOW;

#[test]
fn nothing_acknowledged_is_lost_or_doubled_by_kill_9() {
    if let Ok(data) = env::var(CHILD) {
        publish_until_killed(Path::new(&data));
    }
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let scratch = Scratch::new();
    let mut acknowledged = BTreeMap::new();
    for round in 0..ROUNDS {
        let before = acknowledged.len();
        let mut child = start(&scratch.0, round);
        let mut lines = BufReader::new(child.stdout.take().unwrap());
        // Killed after some acknowledgement, in the middle of whatever the writer is doing then.
        for _ in 0..random.usize(1..4_000) {
            assert!(note(&mut lines, &mut acknowledged), "the child ended by itself");
        }
        child.kill().unwrap();
        child.wait().unwrap();
        while note(&mut lines, &mut acknowledged) {}
        assert!(acknowledged.len() > before);
        check(&open(&scratch.0), &acknowledged);
    }
}

/// Runs this very test in a process of its own.
fn start(data: &Path, round: u64) -> Child {
    let name = "nothing_acknowledged_is_lost_or_doubled_by_kill_9";
    let path = format!("{}::{name}", module_path!().split_once("::").unwrap().1);
    Command::new(env::current_exe().unwrap())
        .args(["--exact", &path, "--nocapture"])
        .env(CHILD, data)
        .env("FANWIRE_STORE_CRASH_ROUND", round.to_string())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .unwrap()
}

/// Reads one acknowledgement, if there is another whole one.
fn note(lines: &mut impl BufRead, acknowledged: &mut BTreeMap<(String, u64), String>) -> bool {
    loop {
        let mut line = String::new();
        if lines.read_line(&mut line).unwrap() == 0 || !line.ends_with('\n') {
            return false;
        }
        // The test harness writes lines of its own.
        let Some(said) = line.split("acknowledged ").nth(1) else { continue };
        let words: Vec<&str> = said.split_whitespace().collect();
        let place = (words[0].to_owned(), words[1].parse().unwrap());
        let earlier = acknowledged.insert(place, words[2].to_owned());
        assert_eq!(earlier, None, "two publications were given one position: {line}");
        return true;
    }
}

fn check(store: &Store, acknowledged: &BTreeMap<(String, u64), String>) {
    for name in TOPICS {
        let own = acknowledged.iter().filter(|((topic, _), _)| topic == name);
        let Some(stretch) = store.read_after(&topic(name), epoch(7), 0, &bounds()).unwrap() else {
            assert_eq!(own.count(), 0);
            continue;
        };
        let stored: BTreeMap<u64, String> = stretch
            .publications
            .iter()
            .map(|it| (it.offset, String::from_utf8(it.payload.to_bare().into()).unwrap()))
            .collect();
        let distinct: HashSet<&String> = stored.values().collect();
        assert_eq!(distinct.len(), stretch.publications.len(), "something is there twice");
        let mut last = None;
        for ((_, offset), payload) in own {
            assert_eq!(stored.get(offset), Some(payload), "{name} {offset} was acknowledged");
            last = Some((*offset, payload));
        }
        // A publisher that received no acknowledgement and publishes again receives the same position.
        if let Some((offset, payload)) = last {
            let repeated = append(store, keyed(name, payload, NOW)).unwrap();
            assert_eq!((repeated.position.offset, repeated.is_duplicate), (offset, true), "{name} {payload}");
        }
    }
}

/// The child: publishes with many outstanding, and says what was acknowledged, until it is killed.
fn publish_until_killed(data: &Path) -> ! {
    let round = env::var("FANWIRE_STORE_CRASH_ROUND").unwrap();
    let store = open(data);
    let (sender, receiver) = mpsc::sync_channel(OUTSTANDING);
    for number in 0_u64.. {
        let name = TOPICS[number as usize % TOPICS.len()];
        if number >= OUTSTANDING as u64 {
            receiver.recv().unwrap();
        }
        let payload = format!("{round}.{number}");
        let (said, sender) = (payload.clone(), sender.clone());
        let publish = Append { keep: Keep::ALL, ..keyed(name, &payload, NOW) };
        let done = move |result: Result<crate::store::Committed, _>| {
            let offset = result.unwrap().position.offset;
            if writeln!(io::stdout().lock(), "acknowledged {name} {offset} {said}").is_err() {
                // The parent process is gone.
                process::exit(0);
            }
            sender.send(()).unwrap();
        };
        store.append(publish, Box::new(done)).unwrap();
    }
    unreachable!("numbers do not end before the process does")
}
