//! A topic that holds much, and sessions that come back to it from the beginning, one after the other: what a replay costs
//! the server.

use std::rc::Rc;
use std::time::{Duration, Instant};

use super::{Measurement, topic_name};
use crate::drivers::Driver;
use crate::error::BenchError;
use crate::load::{
    Connection, Flow as Load, FlowPlan, Gate, Listening, Publisher, Subscriber, Tally, Waiting, Window,
};
use crate::plan::Replay;
use crate::report::Figure;
use crate::server::{Probe, Server};
use crate::wire::Template;

/// The maximum number of unacknowledged publications while the topic is filled.
const FILL_WINDOW: u64 = 256;

/// The time that filling the topic may take.
const FILL_MAX: Duration = Duration::from_secs(120);

/// The deliveries to all measured sessions, and their cost.
struct Given {
    deliveries: u64,
    out_of_order: u64,
    unstamped: u64,
    elapsed: Duration,
    server_cpu: Option<Duration>,
    ended: Option<String>,
}

/// Fills the topic, lets the sessions read it, and gives what that cost.
pub(super) fn measure(
    replay: &Replay,
    driver: &dyn Driver,
    server: &Server,
    waiting: Waiting,
) -> Result<Measurement, BenchError> {
    fill(replay, driver, server, waiting)?;
    // The first reads unmeasured: it also waits for what is still on its way into the topic.
    let (first, reason) = read_all(replay, driver, server, 1)?;
    if first.deliveries != replay.publications {
        let reason = reason.unwrap_or_else(|| "nothing more came".into());
        return Err(BenchError::Refused(format!(
            "the topic holds {} of {} publications: {reason}",
            first.deliveries, replay.publications
        )));
    }
    let probe = server.probe.as_ref();
    let (cpu, began) = (probe.map(Probe::cpu).transpose()?, Instant::now());
    let mut given = Given {
        deliveries: 0,
        out_of_order: 0,
        unstamped: 0,
        elapsed: Duration::ZERO,
        server_cpu: None,
        ended: None,
    };
    for session in 0..replay.sessions {
        let (tally, ended) = read_all(replay, driver, server, 2 + session)?;
        given.deliveries += tally.deliveries;
        given.out_of_order += tally.out_of_order;
        given.unstamped += tally.unstamped;
        given.ended = given.ended.or(ended);
    }
    given.elapsed = began.elapsed();
    given.server_cpu = probe.map(Probe::cpu).transpose()?.zip(cpu).map(|(after, before)| after - before);
    let resident = probe.map(Probe::resident_bytes).transpose()?.flatten();
    Ok(Measurement { figures: figures(replay, &given, resident), notes: notes(&given) })
}

fn fill(replay: &Replay, driver: &dyn Driver, server: &Server, waiting: Waiting) -> Result<(), BenchError> {
    let topic = topic_name(0);
    let template = driver.publication(&topic, &Template::payload(replay.payload_bytes));
    let connection = Connection::open(&server.endpoint, 0, driver.publisher(&server.host(), Some(&topic))?)?;
    let gate = Gate::Window(Window::new(FILL_WINDOW, driver.group()));
    let publisher = Publisher::new(0, connection, gate, Rc::from([template]), replay.publications);
    let load = Load::new(Vec::new(), vec![publisher], Tally::new(), None, waiting)?;
    load.run(FlowPlan { warmup: Duration::ZERO, duration: FILL_MAX }).map(drop)
}

/// Opens a session, reads everything the topic holds, and closes it.
fn read_all(
    replay: &Replay,
    driver: &dyn Driver,
    server: &Server,
    number: usize,
) -> Result<(Tally, Option<String>), BenchError> {
    let mut tally = Tally::new();
    let connection =
        Connection::open(&server.endpoint, number, driver.replay(&server.host(), &topic_name(0))?)?;
    let subscriber = Subscriber::new(connection, Listening::Topic(0), 1, &mut tally);
    Load::new(vec![subscriber], Vec::new(), tally, None, Waiting::Asleep)?.receive(replay.publications)
}

fn figures(replay: &Replay, given: &Given, resident: Option<u64>) -> Vec<Figure> {
    let deliveries = given.deliveries as f64;
    let expected = replay.publications * replay.sessions as u64;
    let per = |time: Duration| (!time.is_zero()).then(|| deliveries / time.as_secs_f64());
    let cpu_us = given.server_cpu.filter(|_| given.deliveries > 0);
    vec![
        Figure::new("deliveries_per_cpu_second", "deliveries/CPU s", 0, given.server_cpu.and_then(per)),
        Figure::new(
            Figure::SERVER_CPU_PER_DELIVERY,
            "CPU µs/delivery",
            3,
            cpu_us.map(|time| time.as_secs_f64() * 1e6 / deliveries),
        ),
        Figure::new("deliveries_per_second", "deliveries/s", 0, per(given.elapsed)),
        Figure::new("server_resident_kib", "server KiB", 0, resident.map(|bytes| bytes as f64 / 1024.0)),
        Figure::new("lost", "lost", 0, Some(expected.saturating_sub(given.deliveries) as f64)),
        Figure::new("surplus", "surplus", 0, Some(given.deliveries.saturating_sub(expected) as f64)),
        Figure::new("out_of_order", "out of order", 0, Some(given.out_of_order as f64)),
    ]
}

fn notes(given: &Given) -> Vec<String> {
    let mut notes: Vec<String> =
        given.ended.iter().map(|reason| format!("a session was cut off because {reason}")).collect();
    if given.unstamped > 0 {
        notes.push(format!("{} messages had no readable stamp", given.unstamped));
    }
    notes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_follow_from_what_was_given() {
        let replay = Replay { publications: 100, sessions: 5, payload_bytes: 128, directory: None };
        let given = Given {
            deliveries: 490,
            out_of_order: 1,
            unstamped: 3,
            elapsed: Duration::from_millis(490),
            server_cpu: Some(Duration::from_millis(98)),
            ended: Some("it was tired".into()),
        };
        let figures = figures(&replay, &given, Some(4096));
        let value = |name| figures.iter().find(|figure| figure.name == name).unwrap().value;
        assert_eq!(value("deliveries_per_cpu_second"), Some(5000.0));
        assert_eq!(value(Figure::SERVER_CPU_PER_DELIVERY), Some(200.0));
        assert_eq!(value("deliveries_per_second"), Some(1000.0));
        assert_eq!(
            (value("lost"), value("surplus"), value("out_of_order")),
            (Some(10.0), Some(0.0), Some(1.0))
        );
        assert_eq!(notes(&given).len(), 2);
        let unknown = self::figures(&replay, &Given { deliveries: 0, server_cpu: None, ..given }, None);
        assert!(unknown[..2].iter().all(|figure| figure.value.is_none()));
    }
}
