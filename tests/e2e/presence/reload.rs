//! Presence that is switched on while the broker runs.

use fanwire_tests::{Broker, Opcode, SECRET, eventually, temporary};
use serde_json::{Value, json};

use super::members::{check_moved, enter};

#[test]
fn presence_switched_on_by_a_reload_knows_the_subscribers_that_are_there() {
    let text = |rule: &str| {
        format!(
            "[auth]\nsecret = \"{SECRET}\"\n\
             [[topic]]\nmatch = 'room.>'\n{rule}publish = 'anyone'\nsubscribe = 'anyone'\n"
        )
    };
    let file = temporary("toml");
    std::fs::write(&file, text("")).expect("a file can be written");
    let broker = Broker::start(&["--workers", "2", "--config", file.to_str().expect("a path is text")]);
    let mut ann = enter(broker.address(), "ann", "room.1");
    let mut bob = enter(broker.address(), "bob", "room.1");
    let ask = json!({"type": "presence", "id": 2, "topic": "room.1"});
    assert_eq!(ann.ask(&ask)["code"], "unavailable", "no rule keeps presence yet");
    std::fs::write(&file, text("presence = true\n")).expect("a file can be written");
    broker.reload();
    eventually("both are members", || {
        ann.send_json(&ask);
        let reply = loop {
            let frame = ann.read_json();
            match frame["type"].as_str() {
                Some("join") => assert_eq!(frame["user"], "bob", "a session receives no event of itself"),
                _ => break frame,
            }
        };
        let mut users: Vec<&str> = reply["members"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|member: &Value| member["user"].as_str())
            .collect();
        users.sort_unstable();
        (users == ["ann", "bob"]).then_some(())
    });
    bob.send_frame(true, Opcode::CLOSE, &1000_u16.to_be_bytes());
    let left = eventually("bob leaves", || {
        let frame = ann.read_json();
        (frame["type"] != "join").then_some(frame)
    });
    assert_eq!((&left["type"], &left["user"]), (&json!("leave"), &json!("bob")));
    let _bob = enter(broker.address(), "bob", "room.1");
    check_moved(&mut ann, "join", "bob");
    // A file that is left behind does no harm.
    let _left_behind = std::fs::remove_file(&file);
}
