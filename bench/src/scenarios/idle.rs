//! Subscribed connections that do nothing: what each of them costs the server in memory.

use std::time::{Duration, Instant};

use super::{Measurement, Reading, open_subscriber, topic_name};
use crate::drivers::Driver;
use crate::error::BenchError;
use crate::load::{Flow as Load, Listening, Subscriber, Tally, Waiting};
use crate::plan::Idle;
use crate::report::Figure;
use crate::server::Server;

/// Opens the connections, holds them, and gives the memory of each.
pub(super) fn measure(idle: &Idle, driver: &dyn Driver, server: &Server) -> Result<Measurement, BenchError> {
    let probe = server.probe.as_ref();
    let before = Reading::of(probe)?;
    let began = Instant::now();
    let mut tally = Tally::new();
    let subscribers = (0..idle.connections)
        .map(|number| {
            let topic = number % idle.topics;
            let connection = open_subscriber(driver, server, number, topic_name(topic))?;
            Ok(Subscriber::new(connection, Listening::Topic(topic), 0, &mut tally))
        })
        .collect::<Result<Vec<_>, BenchError>>()?;
    let opening = began.elapsed();
    let opened = Reading::of(probe)?;
    let mut load = Load::new(subscribers, Vec::new(), tally, probe, Waiting::Asleep)?;
    let (closed, reason) = load.hold(idle.hold)?;
    // The connections are still open here: the load is dropped at the end.
    let held = Reading::of(probe)?;
    let notes = reason
        .map(|reason| format!("{closed} connections were cut off, the first because {reason}"))
        .into_iter()
        .collect();
    Ok(Measurement { figures: figures(idle.connections, opening, &[before, opened, held], closed), notes })
}

fn figures(connections: usize, opening: Duration, readings: &[Reading; 3], closed: usize) -> Vec<Figure> {
    let [before, opened, held] = readings;
    let each = |total: f64| total / connections as f64;
    let kib_each = |after: &Reading| {
        after
            .resident
            .zip(before.resident)
            .map(|(after, before)| each((after as f64 - before as f64) / 1024.0))
    };
    let cpu_each =
        opened.cpu.zip(before.cpu).map(|(after, before)| each((after - before).as_secs_f64() * 1e6));
    vec![
        Figure::new("connections", "connections", 0, Some(connections as f64)),
        Figure::new("resident_kib_per_connection", "KiB/connection", 2, kib_each(opened)),
        Figure::new("resident_kib_per_connection_held", "KiB after holding", 2, kib_each(held)),
        Figure::new("server_resident_kib", "server KiB", 0, held.resident.map(|bytes| bytes as f64 / 1024.0)),
        Figure::new("open_cpu_us_per_connection", "CPU µs to open", 1, cpu_each),
        Figure::new("open_us_per_connection", "µs to open", 1, Some(each(opening.as_secs_f64() * 1e6))),
        Figure::new("closed", "cut off", 0, Some(closed as f64)),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_reported_per_connection_and_may_shrink() {
        let reading = |kib: u64, millis| Reading {
            resident: Some(kib * 1024),
            cpu: Some(Duration::from_millis(millis)),
        };
        let figures = figures(
            100,
            Duration::from_millis(10),
            &[reading(5000, 1), reading(5300, 5), reading(4900, 5)],
            0,
        );
        let value = |name| figures.iter().find(|figure| figure.name == name).unwrap().value;
        assert_eq!(value("resident_kib_per_connection"), Some(3.0));
        assert_eq!(value("resident_kib_per_connection_held"), Some(-1.0));
        assert_eq!(value("open_cpu_us_per_connection"), Some(40.0));
        assert_eq!(value("open_us_per_connection"), Some(100.0));
    }
}
