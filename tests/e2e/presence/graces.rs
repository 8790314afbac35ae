//! Presence: the grace of a broken connection, while other connections of the same user come and go.

use fanwire_tests::{Opcode, eventually};

use super::members::{break_off, broker, check_moved, enter};
use crate::fixtures::texts::publish;

/// Tab 2 breaks, tab 1 closes, tab 2 reconnects within the grace: the user was there all the time.
#[test]
fn a_tab_that_reconnects_within_its_grace_never_left_even_if_another_tab_closed_meanwhile() {
    let broker = broker("1h");
    let address = broker.address();
    let mut watcher = enter(address, "watcher", "room.tabs");
    for round in 0..3 {
        let mut first = enter(address, "ann", "room.tabs");
        if round == 0 {
            check_moved(&mut watcher, "join", "ann");
        }
        let second = enter(address, "ann", "room.tabs");
        break_off(address, second);
        first.send_frame(true, Opcode::CLOSE, &1000_u16.to_be_bytes());
        eventually("the closed tab has unsubscribed", || {
            let text = format!("after the close of round {round}");
            let is_alone = publish(address, "room.tabs", &text)["subscribers"] == 1;
            while watcher.read_json()["data"] != text.as_str() {}
            is_alone.then_some(())
        });
        drop(enter(address, "ann", "room.tabs"));
        publish(address, "room.tabs", "no event before this");
        assert_eq!(watcher.read_json()["data"], "no event before this");
    }
}
