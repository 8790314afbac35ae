//! A server as a child process: started on its core, found by what it prints, stopped by its id.

use std::collections::VecDeque;
use std::io::{self, BufRead, BufReader, PipeReader, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use super::cores::{Cores, pin_this_thread};
use crate::error::BenchError;

/// The time that a server may take until it says where it listens.
const START_TIMEOUT: Duration = Duration::from_secs(15);

/// The time that a server may take to end after it was asked to.
const STOP_TIMEOUT: Duration = Duration::from_secs(5);

/// The number of its last lines that are shown when it fails.
const LINES_KEPT: usize = 10;

/// The command that starts a server.
pub(crate) struct ProcessPlan<'a> {
    /// The path of the program.
    pub(crate) program: &'a Path,
    /// The arguments of the program.
    pub(crate) arguments: &'a [&'a str],
    /// The bytes of its standard input.
    pub(crate) input: &'a str,
    /// Finds the address in a line that the server prints once it listens.
    pub(crate) address_in: AddressIn,
}

/// Finds an address in a line of output, or finds none.
pub(crate) type AddressIn = Box<dyn Fn(&str) -> Option<SocketAddr> + Send>;

/// A running child process; dropping it stops it.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    output: Receiver<SocketAddr>,
    last_lines: Arc<Mutex<VecDeque<String>>>,
}

impl Process {
    /// Starts a server on its core and waits until it says where it listens. Afterwards the calling thread is on the
    /// load's core.
    pub(crate) fn start(
        plan: ProcessPlan<'_>,
        cores: Option<Cores>,
    ) -> Result<(Self, SocketAddr), BenchError> {
        let program = plan.program.display().to_string();
        let failed = |reason: String| BenchError::Start { program: program.clone(), reason };
        // A child inherits the core of the thread that starts it.
        if let Some(cores) = cores {
            pin_this_thread(cores.server)?;
        }
        let started = spawn(&plan);
        if let Some(cores) = cores {
            pin_this_thread(cores.load)?;
        }
        let (child, output) = started.map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => BenchError::LeftOut(format!("{} is not here", plan.program.display())),
            _ => failed(error.to_string()),
        })?;
        let last_lines = Arc::new(Mutex::new(VecDeque::new()));
        // One address, and then only the end of the channel counts: it says that the server's output has ended.
        let (sender, receiver) = sync_channel(1);
        let (lines, address_in) = (Arc::clone(&last_lines), plan.address_in);
        thread::spawn(move || read_output(output, &address_in, &sender, &lines));
        let process = Self { child, output: receiver, last_lines };
        match process.output.recv_timeout(START_TIMEOUT) {
            Ok(address) => Ok((process, address)),
            Err(RecvTimeoutError::Timeout) => {
                Err(failed(format!("it did not say where it listens; it printed: {}", process.printed())))
            }
            Err(RecvTimeoutError::Disconnected) => {
                Err(failed(format!("it ended at once; it printed: {}", process.printed())))
            }
        }
    }

    /// The child's process id.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    fn printed(&self) -> String {
        let lines = self.last_lines.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if lines.is_empty() { "nothing".into() } else { Vec::from_iter(lines.iter().cloned()).join(" / ") }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Some(pid) = Pid::from_raw(self.child.id().cast_signed()) {
            // Fails only if the child has ended already, which the wait below finds out as well.
            let _ = kill_process(pid, Signal::TERM);
        }
        if let Err(RecvTimeoutError::Timeout) = self.output.recv_timeout(STOP_TIMEOUT) {
            let _ = self.child.kill();
        }
        let _ = self.child.wait();
    }
}

fn spawn(plan: &ProcessPlan<'_>) -> io::Result<(Child, PipeReader)> {
    let (reader, writer) = io::pipe()?;
    let mut command = Command::new(plan.program);
    command.args(plan.arguments).stdin(Stdio::piped()).stdout(writer.try_clone()?).stderr(writer);
    // Servers are measured with their defaults, not with what the caller's shell happens to say.
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("FANWIRE_") {
            command.env_remove(name);
        }
    }
    let mut child = command.spawn()?;
    if let Some(mut input) = child.stdin.take() {
        // A server that ends without reading is quoted with what it printed, which says more than a broken pipe.
        let _ = input.write_all(plan.input.as_bytes());
    }
    Ok((child, reader))
}

fn read_output(
    output: PipeReader,
    address_in: &AddressIn,
    sender: &SyncSender<SocketAddr>,
    last_lines: &Mutex<VecDeque<String>>,
) {
    let mut found = false;
    for line in BufReader::new(output).lines().map_while(Result::ok) {
        if let Some(address) = address_in(&line)
            && !found
        {
            found = true;
            // The receiver is gone if starting was given up; the output is still read so that the server never
            // waits for a reader.
            let _ = sender.send(address);
        }
        let mut lines = last_lines.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if lines.len() == LINES_KEPT {
            lines.pop_front();
        }
        lines.push_back(line);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell<'a>(arguments: &'a [&'a str]) -> ProcessPlan<'a> {
        ProcessPlan {
            program: Path::new("/bin/sh"),
            arguments,
            input: "",
            address_in: Box::new(|line| line.strip_prefix("listening on ")?.parse().ok()),
        }
    }

    #[test]
    fn a_server_is_found_by_what_it_prints_and_stopped() {
        let plan = shell(&["-c", "echo starting; echo listening on 127.0.0.1:77 >&2; exec sleep 60"]);
        let (process, address) = Process::start(plan, None).unwrap();
        assert_eq!(address, "127.0.0.1:77".parse().unwrap());
        let entry = format!("/proc/{}", process.id());
        assert!(Path::new(&entry).exists());
        drop(process);
        assert!(!Path::new(&entry).exists());
    }

    #[test]
    fn a_server_that_ends_at_once_is_quoted() {
        let error = Process::start(shell(&["-c", "echo port in use; exit 1"]), None).unwrap_err();
        assert!(error.to_string().contains("it ended at once; it printed: port in use"), "{error}");
    }

    #[test]
    fn a_missing_program_is_named() {
        let plan = ProcessPlan { program: Path::new("/nowhere/serverd"), ..shell(&[]) };
        let error = Process::start(plan, None).unwrap_err();
        assert_eq!(error.to_string(), "/nowhere/serverd is not here");
    }
}
