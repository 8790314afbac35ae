//! `fanwire bench` against the broker: whatever it says of speed, what was published arrives.

use std::process::Command;

use fanwire_tests::{binary, temporary};
use serde_json::Value;

/// Runs `fanwire bench` with these arguments, and gives its report.
fn bench(arguments: &[&str]) -> Value {
    // A directory for temporary files of its own, to see whether any are left behind.
    let directory = temporary("bench");
    std::fs::create_dir(&directory).expect("a directory can be made");
    let output = Command::new(binary())
        .arg("bench")
        .args(arguments)
        .args(["--no-pin", "--json"])
        .env("TMPDIR", &directory)
        .output()
        .expect("it starts");
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {complaints}");
    std::fs::remove_dir(&directory).unwrap_or_else(|error| panic!("{arguments:?} left files: {error}"));
    serde_json::from_slice(&output.stdout).expect("the report is JSON")
}

/// Checks that both drivers were measured without a loss, and gives the figures of the last.
fn check_whole(report: &Value) -> &Value {
    let runs = report["runs"].as_array().expect("a list");
    assert_eq!(runs.len(), 2, "{report}");
    for run in runs {
        assert_eq!(run["notes"], serde_json::json!([]), "{report}");
        for name in ["lost", "surplus", "out_of_order"] {
            assert_eq!(run["figures"][name].as_f64().unwrap_or(0.0), 0.0, "{name} in {report}");
        }
    }
    assert_eq!(runs[1]["driver"], "fanwire-tls", "{report}");
    &runs[1]["figures"]
}

#[test]
fn everything_arrives_under_tls_as_in_the_clear() {
    let both = ["--driver", "fanwire,fanwire-tls"];
    for scenario in [
        ["fanout", "--publications=600", "--subscribers=10", "--payload=1024"],
        ["fanout", "--publications=30", "--subscribers=3", "--payload=400000"],
        ["topics", "--publications=600", "--topics=10", "--inspect-every=1"],
        ["durable", "--publications=100", "--publishers=2", "--topics=3"],
        ["workers", "--publications=300", "--subscribers=10", "--seconds=2"],
        ["replay", "--publications=2000", "--sessions=2", "--payload=128"],
        ["stuck", "--publications=100", "--subscribers=5", "--stuck=2"],
        ["patterns", "--patterns=1000", "--topics=20", "--subscribers=1"],
    ] {
        let report = bench(&[&scenario[..], &both].concat());
        check_whole(&report);
    }
}

#[test]
fn connections_under_tls_are_opened_held_and_changed() {
    let both = ["--driver", "fanwire,fanwire-tls"];
    let report = bench(&[&["idle", "--connections=30", "--seconds=0.1"], &both[..]].concat());
    assert_eq!(check_whole(&report)["closed"], 0.0, "{report}");
    let report = bench(&[&["storm", "--connections=50"], &both[..]].concat());
    assert_eq!(check_whole(&report)["served"], 50.0, "{report}");
    let report = bench(&[&["churn", "--sessions=3", "--topics=5", "--seconds=0.2"], &both[..]].concat());
    assert!(check_whole(&report)["rounds"].as_f64().is_some_and(|rounds| rounds > 0.0), "{report}");
}
