//! Very many topics that hold one message each: what a topic costs the server in memory.

use std::rc::Rc;
use std::time::Duration;

use super::{Measurement, Reading, topic_name};
use crate::drivers::Driver;
use crate::error::BenchError;
use crate::load::{
    Connection, Flow as Load, FlowPlan, Gate, Listening, Publisher, Subscriber, Tally, Waiting, Window,
};
use crate::plan::Retained;
use crate::report::Figure;
use crate::server::Server;
use crate::wire::Template;

/// Topics that one publisher fills before the next does: their publications are made ahead of time.
const TOPICS_AT_ONCE: usize = 10_000;

/// The maximum number of unacknowledged publications.
const WINDOW: u64 = 256;

/// The time that each publisher may take.
const FILL_MAX: Duration = Duration::from_secs(60);

/// The number of topics that are checked afterwards.
const SAMPLES: usize = 100;

/// Publishes once to every topic, then reads some of them back.
pub(super) fn measure(
    retained: &Retained,
    driver: &dyn Driver,
    server: &Server,
    waiting: Waiting,
) -> Result<Measurement, BenchError> {
    let probe = server.probe.as_ref();
    // The first publication brings up what is there once: a publisher's session, buffers, the thread's own memory.
    fill(retained, retained.topics..retained.topics + 1, driver, server, waiting)?;
    let before = Reading::of(probe)?;
    for begin in (0..retained.topics).step_by(TOPICS_AT_ONCE) {
        let end = retained.topics.min(begin + TOPICS_AT_ONCE);
        fill(retained, begin..end, driver, server, waiting)?;
    }
    let after = Reading::of(probe)?;
    let samples = SAMPLES.min(retained.topics);
    let mut missing = 0;
    for sample in 0..samples {
        missing += usize::from(!is_held(sample * retained.topics / samples, driver, server)?);
    }
    Ok(Measurement { figures: figures(retained, &before, &after, samples, missing), notes: Vec::new() })
}

fn fill(
    retained: &Retained,
    topics: std::ops::Range<usize>,
    driver: &dyn Driver,
    server: &Server,
    waiting: Waiting,
) -> Result<(), BenchError> {
    let payload = Template::payload(retained.payload_bytes);
    let publications = topics.len() as u64;
    let templates: Rc<[Template]> =
        topics.map(|topic| driver.publication(&topic_name(topic), &payload)).collect();
    let connection = Connection::open(&server.endpoint, 0, driver.publisher(&server.host(), None)?)?;
    let gate = Gate::Window(Window::new(WINDOW, driver.group()));
    let publisher = Publisher::new(0, connection, gate, templates, publications);
    let load = Load::new(Vec::new(), vec![publisher], Tally::new(), None, waiting)?;
    let run = load.settle(FlowPlan { warmup: Duration::ZERO, duration: FILL_MAX })?;
    if run < publications {
        return Err(BenchError::Refused(format!("only {run} of {publications} topics were filled in time")));
    }
    Ok(())
}

fn is_held(topic: usize, driver: &dyn Driver, server: &Server) -> Result<bool, BenchError> {
    let mut tally = Tally::new();
    let connection =
        Connection::open(&server.endpoint, 1, driver.replay(&server.host(), &topic_name(topic))?)?;
    let subscriber = Subscriber::new(connection, Listening::Topic(0), 1, &mut tally);
    let (tally, _) = Load::new(vec![subscriber], Vec::new(), tally, None, Waiting::Asleep)?.receive(1)?;
    Ok(tally.deliveries == 1)
}

fn figures(
    retained: &Retained,
    before: &Reading,
    after: &Reading,
    samples: usize,
    missing: usize,
) -> Vec<Figure> {
    let each = after.bytes_each(before, retained.topics);
    vec![
        Figure::new("topics", "topics", 0, Some(retained.topics as f64)),
        Figure::new(
            "bytes_per_topic_over_payload",
            "bytes/topic over the payload",
            0,
            each.map(|bytes| bytes - retained.payload_bytes as f64),
        ),
        Figure::new("bytes_per_topic", "bytes/topic", 0, each),
        Figure::new(
            "server_resident_kib",
            "server KiB",
            0,
            after.resident.map(|bytes| bytes as f64 / 1024.0),
        ),
        Figure::new(
            Figure::SERVER_CPU_PER_PUBLICATION,
            "CPU µs/first publication",
            2,
            after.cpu_us_each(before, retained.topics),
        ),
        Figure::new("topics_looked_into", "topics looked into", 0, Some(samples as f64)),
        Figure::new("lost", "of them empty", 0, Some(missing as f64)),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_payload_is_not_counted() {
        let reading = |bytes: u64| Reading { resident: Some(bytes), cpu: None };
        let retained = Retained { topics: 1000, payload_bytes: 32 };
        let figures = figures(&retained, &reading(1_000_000), &reading(1_432_000), 100, 0);
        let value = |name| figures.iter().find(|figure| figure.name == name).unwrap().value;
        assert_eq!(value("bytes_per_topic"), Some(432.0));
        assert_eq!(value("bytes_per_topic_over_payload"), Some(400.0));
        assert_eq!(value(Figure::SERVER_CPU_PER_PUBLICATION), None);
    }
}
