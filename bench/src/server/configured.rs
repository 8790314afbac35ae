//! Servers that take a port from a file of configuration and print that they are ready, but not where.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use super::{Cores, Endpoint, Owned, Probe, Process, ProcessPlan, Server};
use crate::error::BenchError;

/// A server that is started with a configuration file.
pub(crate) struct Configured<'a> {
    /// The path of the program.
    pub(crate) program: &'a Path,
    /// Its arguments, after which the name of the file comes.
    pub(crate) arguments: &'a [&'a str],
    /// The text of the file, for a port and a directory that the server may write to.
    pub(crate) configuration: &'a dyn Fn(u16, &str) -> String,
    /// A text in the line that reports that it is ready.
    pub(crate) ready: &'static str,
}

/// A directory for one server, removed with all that is in it.
#[derive(Debug)]
pub(crate) struct Directory(PathBuf);

impl Configured<'_> {
    /// Starts the server on a port that is free now.
    pub(crate) fn start(&self, cores: Option<Cores>) -> Result<Server, BenchError> {
        let failed = |error| BenchError::System("writing a server's configuration", error);
        let directory = Directory::make().map_err(failed)?;
        let address = TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).map_err(failed)?;
        let file = directory.0.join("configuration").to_string_lossy().into_owned();
        let text = (self.configuration)(address.port(), &directory.0.to_string_lossy());
        fs::write(&file, text).map_err(failed)?;
        let ready = self.ready;
        let plan = ProcessPlan {
            program: self.program,
            arguments: &[self.arguments, &[file.as_str()]].concat(),
            input: "",
            address_in: Box::new(move |line| line.contains(ready).then_some(address)),
        };
        let (process, address) = Process::start(plan, cores)?;
        let probe = Some(Probe::of_process(process.id()));
        let endpoint = Endpoint::plain(address);
        Ok(Server { endpoint, probe, _owned: Owned::Configured(process, directory) })
    }
}

impl Directory {
    /// A new, empty one among the temporary files.
    pub(super) fn make() -> std::io::Result<Self> {
        static MADE: AtomicU64 = AtomicU64::new(0);
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("fanwire-bench-server-{}-{number}", std::process::id()));
        fs::create_dir(&path)?;
        Ok(Self(path))
    }

    /// Returns the path of the directory.
    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        // Whatever of it cannot be removed is in the folder for temporary files.
        let _left_behind = fs::remove_dir_all(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_given_a_file_with_its_port_and_leaves_nothing_behind() {
        let server = Configured {
            program: Path::new("/bin/sh"),
            arguments: &[],
            configuration: &|port, directory| {
                format!("echo {directory} has {port}; echo ready now; exec sleep 60")
            },
            ready: "ready",
        }
        .start(None)
        .unwrap();
        assert_ne!(server.endpoint.address.port(), 0);
        let Owned::Configured(process, directory) = &server._owned else { panic!("{server:?}") };
        let (path, entry) = (directory.0.clone(), format!("/proc/{}", process.id()));
        assert!(path.is_dir() && Path::new(&entry).exists());
        drop(server);
        assert!(!path.exists() && !Path::new(&entry).exists());
    }
}
