//! Subscriptions that come and go: what a subscription and its end cost, and whether they leave anything behind.

use std::rc::Rc;
use std::time::Duration;

use super::{Measurement, Reading, topic_name};
use crate::drivers::Driver;
use crate::error::BenchError;
use crate::load::{Churning, Connection};
use crate::plan::Churn;
use crate::report::Figure;
use crate::server::Server;
use crate::wire::Template;

/// Goes through every topic once, so that what is made by its first use is there, then measures.
pub(super) fn measure(
    churn: &Churn,
    driver: &dyn Driver,
    server: &Server,
) -> Result<Measurement, BenchError> {
    let probe = server.probe.as_ref();
    let rounds: Vec<(Template, u64)> =
        (0..churn.topics).map(|topic| driver.churn(&topic_name(topic))).collect::<Result<_, _>>()?;
    let answers = rounds.first().map_or(1, |(_, answers)| *answers);
    let rounds: Rc<[Template]> = rounds.into_iter().map(|(round, _)| round).collect();
    let connections = (0..churn.sessions)
        .map(|number| Connection::open(&server.endpoint, number, driver.publisher(&server.host(), None)?))
        .collect::<Result<Vec<_>, BenchError>>()?;
    let mut churning = Churning::new(connections, &rounds, answers, churn.window)?;
    churning.run(churn.duration / 4)?;
    let before = Reading::of(probe)?;
    let done = churning.run(churn.duration)?;
    let after = Reading::of(probe)?;
    Ok(Measurement { figures: figures(done, churn.duration, &before, &after), notes: Vec::new() })
}

fn figures(rounds: u64, duration: Duration, before: &Reading, after: &Reading) -> Vec<Figure> {
    let grown = after.bytes_each(before, 1).map(|bytes| bytes / 1024.0);
    vec![
        Figure::new("rounds_per_second", "rounds/s", 0, Some(rounds as f64 / duration.as_secs_f64())),
        Figure::new(
            Figure::SERVER_CPU_PER_ROUND,
            "CPU µs/round",
            2,
            after.cpu_us_each(before, rounds as usize),
        ),
        Figure::new("rounds", "rounds", 0, Some(rounds as f64)),
        Figure::new("resident_grown_kib", "KiB grown", 0, grown),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_follow_from_the_rounds() {
        let reading = |kib: u64, millis| Reading {
            resident: Some(kib * 1024),
            cpu: Some(Duration::from_millis(millis)),
        };
        let figures = figures(1000, Duration::from_millis(500), &reading(100, 10), &reading(130, 15));
        let values: Vec<_> = figures.iter().map(|figure| figure.value).collect();
        assert_eq!(values, [Some(2000.0), Some(5.0), Some(1000.0), Some(30.0)]);
    }
}
