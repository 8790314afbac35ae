//! Patterns that do not match: what a publication costs beside none of them, a tenth of them, and all.

use super::{Measurement, flow};
use crate::drivers::Driver;
use crate::error::BenchError;
use crate::load::{Connection, FlowRun, Waiting};
use crate::plan::Patterns;
use crate::report::Figure;
use crate::server::Server;

/// The costs of one publication, and what arrived.
struct Rounds {
    none: FlowRun,
    few: FlowRun,
    all: FlowRun,
}

/// Publishes to every topic beside no patterns, a tenth, and all, after a round that makes the topics.
pub(super) fn measure(
    patterns: &Patterns,
    driver: &dyn Driver,
    server: &Server,
    waiting: Waiting,
) -> Result<Measurement, BenchError> {
    let publish = || flow::run(&patterns.flow, driver, server, waiting);
    publish()?;
    let none = publish()?;
    let few_count = patterns.patterns / 10;
    let mut held = open(driver, server, 0, few_count)?;
    let few = publish()?;
    held.extend(open(driver, server, few_count, patterns.patterns)?);
    let all = publish()?;
    let cut_off = held.iter_mut().map(Connection::is_cut_off).filter(|cut_off| *cut_off).count();
    let mut notes = flow::notes(&all);
    if cut_off > 0 {
        notes.push(format!("{cut_off} sessions with patterns were cut off"));
    }
    Ok(Measurement { figures: figures(patterns, &Rounds { none, few, all }), notes })
}

/// Subscribes to the patterns with the numbers from `begin` to `end`, many to a session.
fn open(
    driver: &dyn Driver,
    server: &Server,
    begin: usize,
    end: usize,
) -> Result<Vec<Connection>, BenchError> {
    let numbers: Vec<usize> = (begin..end).collect();
    numbers
        .chunks(Patterns::IN_SESSION)
        .map(|numbers| {
            let names: Vec<String> = numbers.iter().map(|number| pattern(*number)).collect();
            Connection::open(&server.endpoint, begin, driver.subscriber(&server.host(), &names)?)
        })
        .collect()
}

/// A pattern that shares levels with the topics, so that it is found only by looking, and matches none of them.
fn pattern(number: usize) -> String {
    match number % 3 {
        0 => format!("bench.*.n{number:06}"),
        1 => format!("bench.n{number:06}.>"),
        _ => format!("n{number:06}.*"),
    }
}

fn cost(run: &FlowRun) -> Option<f64> {
    let cpu = run.measured.server_cpu?;
    (run.publications > 0).then(|| cpu.as_secs_f64() * 1e6 / run.publications as f64)
}

fn figures(patterns: &Patterns, rounds: &Rounds) -> Vec<Figure> {
    let Rounds { none, few, all } = rounds;
    let ratio = |run: &FlowRun, to: &FlowRun| cost(run).zip(cost(to)).map(|(run, to)| run / to);
    let lost: u64 = [none, few, all].iter().map(|run| run.expected.saturating_sub(run.deliveries)).sum();
    vec![
        Figure::new("patterns", "patterns", 0, Some(patterns.patterns as f64)),
        Figure::new("cpu_us_without", "CPU µs without", 2, cost(none)),
        Figure::new("cpu_us_beside_a_tenth", "beside a tenth", 2, cost(few)),
        Figure::new(Figure::SERVER_CPU_PER_PUBLICATION, "beside all", 2, cost(all)),
        Figure::new("all_to_none", "all : none", 2, ratio(all, none)),
        Figure::new("all_to_a_tenth", "all : a tenth", 2, ratio(all, few)),
        Figure::new("publications", "publications", 0, Some(all.publications as f64)),
        Figure::new("lost", "lost", 0, Some(lost as f64)),
    ]
}

#[cfg(test)]
mod tests {
    use fanwire_protocol::{Pattern, Topic};

    use super::*;
    use crate::scenarios::topic_name;

    #[test]
    fn the_patterns_are_valid_and_match_no_topic_of_a_run() {
        for number in 0..300 {
            let pattern: Pattern = pattern(number).parse().unwrap();
            for topic in 0..300 {
                let topic: Topic = topic_name(topic).parse().unwrap();
                assert!(!pattern.matches(&topic), "{pattern:?} {topic:?}");
            }
        }
    }
}
