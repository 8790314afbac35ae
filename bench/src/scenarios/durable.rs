//! Publications that are on disk before they are acknowledged: a flow to few subscribers, and what the disk did for it.

use std::io::Write;
use std::path::{Path, PathBuf};

use super::{Measurement, flow};
use crate::drivers::Driver;
use crate::error::BenchError;
use crate::load::{Waiting, connect};
use crate::plan::Flow;
use crate::report::Figure;
use crate::server::Server;

/// A data directory that is removed with all that is in it.
pub(super) struct Scratch(PathBuf);

impl Scratch {
    /// A place for a data directory inside `parent`; the server makes it.
    pub(super) fn within(parent: &Path) -> Self {
        Self(parent.join(format!("fanwire-bench-{}", std::process::id())))
    }

    /// Returns the path of the directory.
    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // It is not there if the server did not start.
        let _never_made = std::fs::remove_dir_all(&self.0);
    }
}

/// The counters of the server's disk so far.
struct Written {
    commits: f64,
    publications: f64,
    seconds: f64,
}

/// Runs the flow once and gives its figures and those of the disk.
pub(super) fn measure(
    plan: &Flow,
    driver: &dyn Driver,
    server: &Server,
    waiting: Waiting,
) -> Result<Measurement, BenchError> {
    let before = written(server)?;
    let mut measured = flow::measure(plan, driver, server, waiting)?;
    let after = written(server)?;
    measured.figures.extend(figures(&before, &after));
    Ok(measured)
}

fn figures(before: &Written, after: &Written) -> Vec<Figure> {
    let commits = after.commits - before.commits;
    let each = |total: f64| (commits > 0.0).then(|| total / commits);
    vec![
        Figure::new(
            "publications_per_commit",
            "publications/commit",
            0,
            each(after.publications - before.publications),
        ),
        Figure::new("commit_us", "µs/commit", 0, each((after.seconds - before.seconds) * 1e6)),
    ]
}

fn written(server: &Server) -> Result<Written, BenchError> {
    let page = metrics(server)?;
    let value = |name: &str| {
        let line = page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.and_then(|value| value.trim().parse().ok())
            .ok_or_else(|| BenchError::Refused(format!("the server does not count {name}")))
    };
    Ok(Written {
        commits: value("fanwire_store_commits_total")?,
        publications: value("fanwire_store_committed_publications_total")?,
        seconds: value("fanwire_store_commit_seconds_total")?,
    })
}

fn metrics(server: &Server) -> Result<String, BenchError> {
    let failed = |error| BenchError::System("reading the server's metrics", error);
    let mut socket = connect(&server.endpoint, 0)?;
    let request = format!("GET /metrics HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", server.host());
    socket.write_all(request.as_bytes()).map_err(failed)?;
    let mut page = Vec::new();
    while socket.read_onto(&mut page).map_err(failed)? > 0 {}
    Ok(String::from_utf8_lossy(&page).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_disk_is_counted_from_before_to_after() {
        let before = Written { commits: 10.0, publications: 1000.0, seconds: 1.0 };
        let after = Written { commits: 20.0, publications: 6000.0, seconds: 1.02 };
        let figures = figures(&before, &after);
        let value = |name| {
            figures.iter().find(|figure: &&Figure| figure.name == name).and_then(|figure| figure.value)
        };
        assert_eq!(value("publications_per_commit"), Some(500.0));
        assert!(value("commit_us").is_some_and(|micros| (micros - 2000.0).abs() < 1e-6));
        let idle = super::figures(&before, &Written { ..before });
        assert!(idle.iter().all(|figure| figure.value.is_none()));
    }
}
