//! Backups of an open store, and what a restore makes of a data directory.

use std::fs;

use super::{Scratch, append, epoch, open, submit, text, topic};
use crate::store::{CopyError, Keep, backup, restore};

#[test]
fn a_backup_of_an_open_store_is_restored_under_new_epochs() {
    let scratch = Scratch::new();
    let (data, copy) = (scratch.0.join("data"), scratch.0.join("copy"));
    fs::create_dir(&data).unwrap();
    let store = open(&data);
    for number in 0..5 {
        append(&store, text("a", &number.to_string())).unwrap();
    }
    // The writer is at work meanwhile.
    let receipts: Vec<_> = (0..500).map(|_| submit(&store, text("b", "x"))).collect();
    backup(&data, &copy).unwrap();
    drop(receipts);
    append(&store, text("a", "after the backup")).unwrap();
    assert!(matches!(restore(&copy, &data), Err(CopyError::Unusable(_))), "the broker is running");
    drop(store);
    let kept = restore(&copy, &data).unwrap().expect("the database that was there is kept");
    assert!(kept.exists());
    let store = open(&data);
    let record = store.load(&topic("a"), &Keep::ALL).unwrap().unwrap();
    assert_ne!(record.epoch, epoch(7));
    assert_eq!(record.head, 5);
    drop(store);
    let record_again = open(&data).load(&topic("a"), &Keep::ALL).unwrap().unwrap();
    assert_eq!(record_again.epoch, record.epoch, "a start after the restore keeps the new epoch");
    assert!(matches!(restore(&copy, &data), Err(CopyError::TargetExists(path)) if path == kept));
}

#[test]
fn a_backup_goes_to_a_new_directory_and_a_restore_makes_one() {
    let scratch = Scratch::new();
    let (data, copy, new) = (scratch.0.join("data"), scratch.0.join("copy"), scratch.0.join("new"));
    fs::create_dir(&data).unwrap();
    assert!(matches!(backup(&data, &copy), Err(CopyError::NothingThere(_))));
    assert!(!copy.exists());
    append(&open(&data), text("a", "x")).unwrap();
    backup(&data, &copy).unwrap();
    assert!(matches!(backup(&data, &copy), Err(CopyError::TargetExists(_))));
    assert_eq!(restore(&copy, &new).unwrap(), None);
    assert_eq!(open(&new).load(&topic("a"), &Keep::ALL).unwrap().unwrap().head, 1);
}

#[test]
fn what_is_no_whole_backup_is_refused_and_changes_nothing() {
    let scratch = Scratch::new();
    let (data, copy) = (scratch.0.join("data"), scratch.0.join("copy"));
    fs::create_dir(&data).unwrap();
    let store = open(&data);
    for _ in 0..200 {
        append(&store, text("a", &"x".repeat(300))).unwrap();
    }
    backup(&data, &copy).unwrap();
    drop(store);
    let whole = fs::read(copy.join("fanwire.db")).unwrap();
    for broken in [&whole[..whole.len() / 2], b"a list of things to buy\n"] {
        fs::write(copy.join("fanwire.db"), broken).unwrap();
        restore(&copy, &data).unwrap_err();
    }
    let record = open(&data).load(&topic("a"), &Keep::ALL).unwrap().unwrap();
    assert_eq!((record.epoch, record.head), (epoch(7), 200));
}
