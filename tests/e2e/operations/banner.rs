//! The commands that `fanwire serve` prints when it starts work as they are printed.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use fanwire_tests::{binary, nth_offset, serve_command};

/// A running broker and the text it has printed.
struct Printed {
    child: Child,
    lines: Vec<String>,
}

impl Printed {
    fn start(arguments: &[&str]) -> Self {
        let mut child = serve_command()
            .args(["--listen", "127.0.0.1:0"])
            .args(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the broker can be started");
        let output = BufReader::new(child.stdout.take().expect("its standard output is a pipe"));
        let mut lines = Vec::new();
        let mut commands = 0;
        for line in output.lines().map_while(Result::ok) {
            commands += usize::from(line.trim_start().starts_with("curl "));
            lines.push(line.trim().to_owned());
            if commands == 2 {
                break;
            }
        }
        Self { child, lines }
    }

    fn command(&self, beginning: &str) -> &str {
        let line = self.lines.iter().find(|line| line.starts_with(beginning));
        line.unwrap_or_else(|| panic!("no line begins with {beginning}: {:#?}", self.lines))
    }
}

impl Drop for Printed {
    fn drop(&mut self) {
        let _gone = self.child.kill();
        let _reaped = self.child.wait();
    }
}

/// Runs a script in which `fanwire` is the binary under test, and returns its standard output.
fn run(script: &str) -> String {
    let folder = binary().parent().map(Path::to_owned).expect("the binary is in a folder");
    let path = format!("{}:{}", folder.display(), std::env::var("PATH").unwrap_or_default());
    let output = Command::new("sh").args(["-ec", script]).env("PATH", path).output().expect("sh can be run");
    assert!(output.status.success(), "{script}\n{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Runs the printed commands: publishes, and reads the publication from the event stream.
fn try_it(printed: &Printed, token: &str) {
    let publish = printed.command("curl").to_owned();
    let (subscribe, publish) = match printed.lines.iter().rfind(|line| line.starts_with("curl")) {
        Some(last) => (publish, last.clone()),
        None => panic!("{:#?}", printed.lines),
    };
    let receipt = run(&format!("{token}\n{}", publish.replace("curl ", "curl -sS --fail-with-body ")));
    let offset = format!("\"offset\":{},", nth_offset(1));
    assert!(receipt.contains(&offset), "{receipt}");
    // The stream has no end; what the topic holds comes first, and one event is enough.
    let subscribe = subscribe
        .replace("curl ", "curl -sS ")
        .replace("/topics/chat.lobby", "/topics/chat.lobby?since=earliest");
    let event = run(&format!("{token}\n{subscribe} | grep -m1 data:"));
    assert_eq!(event.trim(), "data: hello");
}

#[test]
fn printed_commands_work_on_an_open_broker() {
    try_it(&Printed::start(&[]), "");
}

#[test]
fn printed_commands_work_on_a_broker_that_requires_a_token() {
    let secret = std::env::temp_dir().join(format!("fanwire banner's secret {}", std::process::id()));
    std::fs::write(&secret, "a secret of at least thirty-two characters").expect("the secret can be written");
    let set = [
        format!("auth.secret_file={}", secret.display()),
        "auth.audience=chat of us".to_owned(),
        "auth.issuer=us".to_owned(),
        "auth.algorithms=HS512".to_owned(),
    ];
    let arguments: Vec<&str> = set.iter().flat_map(|set| ["--set", set.as_str()]).collect();
    let printed = Printed::start(&arguments);
    let token = printed.command("TOKEN=").to_owned();
    try_it(&printed, &token);
    std::fs::remove_file(secret).expect("the secret can be removed");
}
