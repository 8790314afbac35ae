//! Files that a command line names: pipes are read once, and nothing is read without end.

use std::path::PathBuf;
use std::process::Command;

use crate::fake_broker::FakeBroker;
use crate::process::Process;

/// A named pipe that is gone when the test is over.
struct Pipe(PathBuf);

impl Pipe {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("fanwire-pipe-{}-{name}", std::process::id()));
        assert!(Command::new("mkfifo").arg(&path).status().expect("mkfifo runs").success());
        Self(path)
    }

    fn path(&self) -> &str {
        self.0.to_str().expect("temporary files have plain names")
    }

    /// Writes once, as a command of `<(command)` does, as soon as there is a reader.
    fn write(&self, text: &'static str) {
        let path = self.0.clone();
        std::thread::spawn(move || std::fs::write(path, text).expect("the pipe is there"));
    }
}

impl Drop for Pipe {
    fn drop(&mut self) {
        let _gone = std::fs::remove_file(&self.0);
    }
}

#[tokio::test]
async fn a_token_may_come_from_a_pipe_which_gives_it_once() {
    let broker = FakeBroker::start().await;
    let pipe = Pipe::new("token");
    pipe.write("from-pipe\n");
    let _process = Process::start(&broker.url, &["pub", "--token-file", pipe.path(), "a", "x"]);
    assert_eq!(broker.accept().await.token.as_deref(), Some("from-pipe"));
}

#[tokio::test]
async fn a_configuration_may_come_from_a_pipe() {
    let pipe = Pipe::new("config");
    pipe.write("[limits]\nmessage_bytes_max = '2MiB'\n");
    let end = Process::start("", &["check", "--config", pipe.path()]).end().await;
    assert_eq!(end.code, Some(0), "{}", end.stderr);
    pipe.write("[limits]\nmessage_bytes = '2MiB'\n");
    let end = Process::start("", &["check", "--config", pipe.path()]).end().await;
    assert!(end.code == Some(1) && end.stderr.contains("message_bytes"), "{}", end.stderr);
}

#[tokio::test]
async fn a_file_without_end_is_refused() {
    for arguments in [
        &["check", "--config", "/dev/zero"][..],
        &["serve", "--config", "/dev/zero"],
        &["pub", "--token-file", "/dev/zero", "a", "x"],
        &["pub", "--ca-file", "/dev/zero", "a", "x"],
        &["token", "make", "--secret-file", "/dev/zero", "--user", "ann"],
    ] {
        let end = Process::start("127.0.0.1:1", arguments).end().await;
        assert_eq!(end.code, Some(1), "{arguments:?}: {}", end.stderr);
        assert!(end.stderr.contains("/dev/zero"), "{arguments:?}: {}", end.stderr);
    }
}
