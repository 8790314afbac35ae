//! Proves that the report of `make repeat` names each test whose verdict differs between runs.

use std::fs;
use std::process::Command;

/// Runs a script of `tests/repeat` with awk, and returns its exit code and what it prints.
fn awk(script: &str, files: &[(&str, &str)]) -> (Option<i32>, String) {
    let folder = std::env::temp_dir().join(format!("fanwire-repeat-{script}-{}", std::process::id()));
    fs::create_dir_all(&folder).expect("the folder of temporary files is writable");
    let paths = files.iter().map(|(name, text)| {
        let path = folder.join(name);
        fs::write(&path, text).expect("the folder is writable");
        path
    });
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/repeat/").to_owned() + script;
    let output = Command::new("awk").arg("-f").arg(script).args(paths).output().expect("awk starts");
    fs::remove_dir_all(&folder).expect("the folder is removed");
    (output.status.code(), String::from_utf8(output.stdout).expect("awk prints UTF-8"))
}

#[test]
fn the_report_of_several_runs_names_each_test_that_ever_differed() {
    let runs = "1\tquiet\trust\t60\t0\n2\tbusy\trust\t90\t101\n";
    let steady = "1\trust\tok\te2e: a\n2\trust\tok\te2e: a\n";
    let (code, text) = awk("report.awk", &[("runs", &runs.replace("101", "0")), ("results", steady)]);
    assert!(
        code == Some(0)
            && text.contains("differed (suite, test, runs; b: beside a busy loop on each core): 0")
    );

    let results = steady.to_owned()
        + "1\trust\tok\te2e: b\n2\trust\tfailed\te2e: b\n1\trust\tok\te2e: c\n1\trust\tfailed\te2e: d\n2\trust\tfailed\te2e: d\n";
    let (code, text) = awk("report.awk", &[("runs", runs), ("results", &results)]);
    assert_eq!(code, Some(1), "{text}");
    for line in [
        "1     quiet  | 3 ok, 1 failed, 60 s",
        "2     busy   | 1 ok, 2 failed, 90 s (101)",
        "tests: 4, runs: 2",
        "differed\trust\te2e: b\tfailed: 2b\tok: 1",
        "differed\trust\te2e: c\tmissing: 2b\tok: 1",
        "failed\trust\te2e: d",
    ] {
        assert!(text.lines().any(|printed| printed.trim_end() == line), "no line {line:?} in\n{text}");
    }
    let (code, _) = awk("report.awk", &[("runs", runs), ("results", steady)]);
    assert_eq!(code, Some(1), "a suite that ended with an error is no success");
    let (code, _) = awk("report.awk", &[("runs", "1\tquiet\trust\t1\t0\n"), ("results", "")]);
    assert_eq!(code, Some(1), "a run without tests is no success");
}

#[test]
fn the_verdicts_of_every_tool_are_read() {
    let cargo = "     Running unittests src/lib.rs (target/debug/deps/fanwire_core-0123456789abcdef)\n\
        running 3 tests\ntest log::a ... ok\nnoise of a process test b - should panic ... ok\ntest c ... FAILED\n\
        test d has been running for over 60 seconds\n   Doc-tests fanwire_core\ntest src/lib.rs - (line 3) ... ignored\n\
        test result: FAILED. 2 passed; 1 failed\n";
    let (_, text) = awk("rust.awk", &[("output", cargo)]);
    assert_eq!(
        text,
        "ok\tfanwire_core: log::a\nok\tfanwire_core: b\nfailed\tfanwire_core: c\n\
         skipped\tdoc of fanwire_core: src/lib.rs - (line 3)\n"
    );
    let junit = "<testsuite name=\"x\" tests=\"2\">\n<testcase name=\"a\" class=\"B\" time=\"1\"/>\n\
        <testcase name=\"c\" class=\"B\" time=\"1\">\n<failure type=\"x\">no</failure>\n</testcase>\n</testsuite>\n";
    let (_, text) = awk("phpunit.awk", &[("junit.xml", junit)]);
    assert_eq!(text, "ok\tB: a\nfailed\tB: c\n");
}
