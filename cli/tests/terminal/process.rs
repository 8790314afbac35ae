//! The binary under test as a child process, with its three streams.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command, Stdio};

use crate::fake_broker::in_time;

/// How a process ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct End {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// A running `fanwire`, killed when the test lets go of it.
pub(crate) struct Process {
    child: Child,
    pub(crate) stdin: Option<ChildStdin>,
    stdout: Option<BufReader<ChildStdout>>,
    stderr: Option<BufReader<ChildStderr>>,
}

impl Process {
    pub(crate) fn start(url: &str, arguments: &[&str]) -> Self {
        Self::start_with(url, arguments, &[])
    }

    pub(crate) fn start_with(url: &str, arguments: &[&str], variables: &[(&str, &str)]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_fanwire"))
            .args(arguments)
            .env_remove("FANWIRE_TOKEN")
            .env("FANWIRE_URL", url)
            .envs(variables.iter().copied())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        Self {
            stdin: child.stdin.take(),
            stdout: child.stdout.take().map(BufReader::new),
            stderr: child.stderr.take().map(BufReader::new),
            child,
        }
    }

    /// Writes all of standard input and closes it.
    pub(crate) fn feed(&mut self, input: &[u8]) {
        self.stdin.take().unwrap().write_all(input).unwrap();
    }

    /// The next line the process prints.
    pub(crate) async fn stdout_line(&mut self) -> String {
        let mut reader = self.stdout.take().unwrap();
        let (reader, line) = in_time(tokio::task::spawn_blocking(move || {
            let mut line = Vec::new();
            reader.read_until(b'\n', &mut line).unwrap();
            (reader, line)
        }))
        .await
        .unwrap();
        self.stdout = Some(reader);
        line.escape_ascii().to_string()
    }

    /// The next line the process complains.
    pub(crate) async fn stderr_line(&mut self) -> String {
        let mut reader = self.stderr.take().unwrap();
        let (reader, line) = in_time(tokio::task::spawn_blocking(move || {
            let mut line = String::new();
            reader.read_line(&mut line).unwrap();
            (reader, line)
        }))
        .await
        .unwrap();
        self.stderr = Some(reader);
        line
    }

    /// Stops reading what the process prints, as `head` does.
    pub(crate) fn close_stdout(&mut self) {
        self.stdout = None;
    }

    /// Sends the program what Ctrl-C sends.
    pub(crate) fn interrupt(&self) {
        let status = Command::new("kill").args(["-INT", &self.child.id().to_string()]).status().unwrap();
        assert!(status.success());
    }

    /// Waits for the end.
    pub(crate) async fn end(mut self) -> End {
        drop(self.stdin.take());
        in_time(tokio::task::spawn_blocking(move || {
            let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
            if let Some(reader) = &mut self.stdout {
                reader.read_to_end(&mut stdout).unwrap();
            }
            if let Some(reader) = &mut self.stderr {
                reader.read_to_end(&mut stderr).unwrap();
            }
            End {
                code: self.child.wait().unwrap().code(),
                stdout: stdout.escape_ascii().to_string(),
                stderr: String::from_utf8(stderr).unwrap(),
            }
        }))
        .await
        .unwrap()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
