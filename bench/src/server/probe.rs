//! Processor time and memory of a process or thread, as the kernel tells them under `/proc` (proc(5)).

use std::collections::HashMap;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use crate::error::BenchError;

/// The files about one process or thread.
#[derive(Debug, Clone)]
pub(crate) struct Probe {
    stat: PathBuf,
    /// The process's memory; a thread has none of its own.
    memory: Option<PathBuf>,
}

impl Probe {
    /// A whole process with all its threads.
    pub(crate) fn of_process(pid: u32) -> Self {
        Self { stat: format!("/proc/{pid}/stat").into(), memory: Some(format!("/proc/{pid}").into()) }
    }

    /// The calling thread alone.
    pub(crate) fn of_this_thread() -> Self {
        let thread = rustix::thread::gettid().as_raw_nonzero();
        Self { stat: format!("/proc/self/task/{thread}/stat").into(), memory: None }
    }

    /// User and system time so far.
    pub(crate) fn cpu(&self) -> Result<Duration, BenchError> {
        let failed = |error| BenchError::System("reading the server's processor time", error);
        let stat = fs::read_to_string(&self.stat).map_err(failed)?;
        let ticks = cpu_ticks(&stat).ok_or_else(|| failed(std::io::ErrorKind::InvalidData.into()))?;
        let per_second = rustix::param::clock_ticks_per_second();
        Ok(Duration::from_nanos(ticks * 1_000_000_000 / per_second))
    }

    /// User and system time of each thread so far; of a thread alone, nothing. Threads that have ended are not in it.
    pub(crate) fn threads(&self) -> Threads {
        let Some(process) = &self.memory else { return Threads::default() };
        let Ok(entries) = fs::read_dir(process.join("task")) else { return Threads::default() };
        let ticks_of = |entry: fs::DirEntry| {
            // A thread that ends meanwhile is one that has ended.
            let stat = fs::read_to_string(entry.path().join("stat")).ok()?;
            Some((entry.file_name().to_string_lossy().into_owned(), cpu_ticks(&stat)?))
        };
        Threads(entries.filter_map(|entry| ticks_of(entry.ok()?)).collect())
    }

    /// Resident memory in bytes; `None` for a thread.
    pub(crate) fn resident_bytes(&self) -> Result<Option<u64>, BenchError> {
        let Some(process) = &self.memory else { return Ok(None) };
        // `smaps_rollup` counts pages one by one and is exact, but belongs to the process's own user only.
        let read = match fs::read_to_string(process.join("smaps_rollup")) {
            Ok(text) => rollup_bytes(&text),
            Err(_) => fs::read_to_string(process.join("statm"))
                .ok()
                .and_then(|text| text.split_whitespace().nth(1)?.parse::<u64>().ok())
                .map(|pages| pages * rustix::param::page_size() as u64),
        };
        read.map(Some).ok_or_else(|| {
            BenchError::System("reading the server's memory", std::io::ErrorKind::InvalidData.into())
        })
    }
}

/// Clock ticks of processor time by thread.
#[derive(Debug, Default)]
pub(crate) struct Threads(HashMap<String, u64>);

impl Threads {
    /// The most that any thread took since `before`; `None` if no threads are known.
    pub(crate) fn busiest_since(&self, before: &Self) -> Option<Duration> {
        let grown =
            |(thread, ticks): (&String, &u64)| ticks - before.0.get(thread).copied().unwrap_or(0).min(*ticks);
        let ticks = self.0.iter().map(grown).max()?;
        Some(Duration::from_nanos(ticks * 1_000_000_000 / rustix::param::clock_ticks_per_second()))
    }
}

/// `utime + stime` of a `stat` line: the 14th and 15th field. The second is the program's name in parentheses and may
/// contain anything, so fields are counted from the last parenthesis.
fn cpu_ticks(stat: &str) -> Option<u64> {
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(user + system)
}

fn rollup_bytes(text: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix("Rss:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processor_time_is_read_behind_any_program_name() {
        let stat = "42 (a) b (c)) S 1 42 42 0 -1 4194560 100 0 0 0 300 45 7 8 20 0 1 0 5 6 7";
        assert_eq!(cpu_ticks(stat), Some(345));
        assert_eq!(cpu_ticks("42 (x) S 1"), None);
        assert_eq!(cpu_ticks(""), None);
    }

    #[test]
    fn resident_memory_is_read_from_the_rollup() {
        let text = "55d0-7ffd ---p 00000000 00:00 0 [rollup]\nRss:                1234 kB\nPss:  5 kB\n";
        assert_eq!(rollup_bytes(text), Some(1234 * 1024));
        assert_eq!(rollup_bytes("Pss: 5 kB\n"), None);
    }

    #[test]
    fn the_busiest_thread_is_the_one_that_grew_most() {
        let per_second = rustix::param::clock_ticks_per_second();
        let threads = |ticks: &[(&str, u64)]| {
            Threads(ticks.iter().map(|(name, seconds)| ((*name).to_owned(), seconds * per_second)).collect())
        };
        let before = threads(&[("1", 100), ("2", 3)]);
        assert_eq!(
            threads(&[("1", 101), ("2", 7), ("3", 2)]).busiest_since(&before),
            Some(Duration::from_secs(4))
        );
        assert_eq!(Threads::default().busiest_since(&before), None);
        assert!(Probe::of_process(std::process::id()).threads().busiest_since(&Threads::default()).is_some());
    }

    #[test]
    fn this_process_can_be_probed() {
        let probe = Probe::of_process(std::process::id());
        assert!(probe.resident_bytes().unwrap().unwrap() > 100_000);
        let before = Probe::of_this_thread().cpu().unwrap();
        let mut sum = 0u64;
        while Probe::of_this_thread().cpu().unwrap() == before {
            sum = std::hint::black_box(sum.wrapping_add(1));
        }
        assert!(probe.cpu().unwrap() > Duration::ZERO);
        assert!(Probe::of_this_thread().resident_bytes().unwrap().is_none());
    }
}
