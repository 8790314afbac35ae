//! A broker of one test: the real binary on a free port.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::OnceLock;

use rustix::process::{Pid, Signal, kill_process};

use crate::{SmallDisk, eventually, get, temporary};

/// The variable with the failpoints of a debug build.
const FAILPOINTS: &str = "FANWIRE_FAILPOINTS";

/// The variable that starts a debug build over an archive in memory whose offsets grow in steps of seven.
const TEST_ARCHIVE: &str = "FANWIRE_TEST_ARCHIVE";

/// Whether all brokers of these tests keep all topics in that archive: the second pass of `make test`.
pub const STEPPED_ARCHIVE: bool = cfg!(feature = "stepped-archive");

/// Returns the offset that the `count`th publication has, if all publications of the broker are to one topic.
pub fn nth_offset(count: u64) -> u64 {
    if STEPPED_ARCHIVE { 7 * count } else { count }
}

/// A running broker. Dropping it kills the process; when a test fails, what the broker logged is shown.
pub struct Broker {
    child: Child,
    address: SocketAddr,
    log: PathBuf,
}

/// The binary under test: the one `FANWIRE_BIN` names, else the debug build, made anew if need be.
pub fn binary() -> &'static PathBuf {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| {
        if let Some(path) = std::env::var_os("FANWIRE_BIN") {
            return path.into();
        }
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let root = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
        let build =
            Command::new(cargo).args(["build", "--quiet", "--package", "fanwire"]).current_dir(root).status();
        assert!(build.is_ok_and(|status| status.success()), "the binary could not be built");
        PathBuf::from(root).join("target/debug/fanwire")
    })
}

/// The start of a command that serves, as a debug build over the archive of these tests.
pub fn serve_command() -> Command {
    let mut command = Command::new(binary());
    command.arg("serve");
    if STEPPED_ARCHIVE {
        command.env(TEST_ARCHIVE, "stepped");
    }
    command
}

impl Broker {
    /// Starts a broker with these arguments beside `serve --listen 127.0.0.1:0`.
    pub fn start(arguments: &[&str]) -> Self {
        let mut command = serve_command();
        command.args(["--listen", "127.0.0.1:0"]).args(arguments);
        Self::spawn(command)
    }

    /// Starts a broker whose settings say what `settings` say, as in `["limits.outbox_bytes_max=2MiB"]`.
    pub fn with(settings: &[&str]) -> Self {
        let arguments: Vec<&str> = settings.iter().flat_map(|setting| ["--set", *setting]).collect();
        Self::start(&arguments)
    }

    /// Starts a broker with a configuration file that says `text`, and more arguments.
    pub fn with_file(text: &str, arguments: &[&str]) -> Self {
        Self::with_failpoints(text, arguments, "")
    }

    /// Starts a broker as [`Broker::with_file`] does, with a plan of failpoints such as `store.commit=sleep(200ms)`.
    /// The binary must be a debug build.
    pub fn with_failpoints(text: &str, arguments: &[&str], plan: &str) -> Self {
        let file = temporary("toml");
        std::fs::write(&file, text).expect("a file can be written");
        let mut command = serve_command();
        command.args(["--listen", "127.0.0.1:0", "--config"]).arg(&file).args(arguments);
        if !plan.is_empty() {
            command.env(FAILPOINTS, plan);
        }
        let broker = Self::spawn(command);
        // It has been read by now; a file that is left behind does no harm.
        let _left_behind = std::fs::remove_file(&file);
        broker
    }

    /// Starts a broker of one worker whose data directory is a small disk, with a configuration that says `text`.
    pub fn on_small_disk(text: &str, disk: &SmallDisk) -> Self {
        let file = temporary("toml");
        std::fs::write(&file, text).expect("a file can be written");
        let mut command = disk.command();
        command.arg(binary()).args(["serve", "--listen", "127.0.0.1:0", "--workers", "1", "--config"]);
        command.arg(&file).arg("--data-dir").arg(disk.mounted_at());
        let broker = Self::spawn(command);
        // It has been read by now; a file that is left behind does no harm.
        let _left_behind = std::fs::remove_file(&file);
        broker
    }

    fn spawn(mut command: Command) -> Self {
        for (name, _) in std::env::vars_os() {
            let is_planned = command.get_envs().any(|(planned, _)| planned == name);
            if name.to_string_lossy().starts_with("FANWIRE_") && !is_planned {
                command.env_remove(name);
            }
        }
        let log = temporary("log");
        let stderr = std::fs::File::create(&log).expect("a file can be written");
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(stderr)
            .spawn()
            .expect("the broker's binary starts");
        let output = BufReader::new(child.stdout.take().expect("standard output is piped"));
        let address = output.lines().map_while(Result::ok).find_map(|line| {
            line.split_once("http://")
                .or_else(|| line.split_once("https://"))?
                .1
                .split_whitespace()
                .next()?
                .trim_end_matches('/')
                .parse()
                .ok()
        });
        let address = address.unwrap_or_else(|| {
            let said = std::fs::read_to_string(&log).unwrap_or_default();
            panic!("the broker did not start: {said}")
        });
        Self { child, address, log }
    }

    /// What the broker has logged so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Ends the broker at once, as a crash would.
    pub fn kill(mut self) {
        self.child.kill().expect("the broker is there to be killed");
        self.child.wait().expect("the broker is our child");
    }

    /// Where the broker listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns the process id of the broker.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Asks the broker to stop, as an operator would.
    pub fn terminate(&self) {
        self.signal(Signal::TERM);
    }

    /// Asks the broker to read its configuration anew.
    pub fn reload(&self) {
        self.signal(Signal::HUP);
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("the broker is there to be told");
    }

    /// Waits until the broker has stopped.
    pub fn wait(&mut self) -> ExitStatus {
        eventually("the broker stops", || self.child.try_wait().expect("the broker is our child"))
    }

    /// The value of a metric with these labels, as in `fanwire_connections{transport="ws"}`.
    pub fn metric(&self, name: &str) -> f64 {
        let page = get(self.address, "/metrics").text();
        let line = page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("no metric {name} in\n{page}")).parse().expect("a metric is a number")
    }

    /// Waits until a metric has this value.
    pub fn await_metric(&self, name: &str, value: f64) {
        let mut last = f64::NAN;
        eventually(&format!("{name} becomes {value}"), || {
            last = self.metric(name);
            ((last - value).abs() < 1e-9).then_some(())
        });
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        // It may have stopped by itself already.
        let _gone = self.child.kill();
        let _reaped = self.child.wait();
        if std::thread::panicking() {
            eprintln!("--- the broker at {} logged:\n{}---", self.address, self.log());
        }
        let _left_behind = std::fs::remove_file(&self.log);
    }
}
