//! Subscribers that have stopped reading: what they take from those who read.

use super::{Measurement, flow, open_subscriber, topic_name};
use crate::drivers::Driver;
use crate::error::BenchError;
use crate::load::{Connection, FlowRun, Waiting};
use crate::plan::Flow;
use crate::report::Figure;
use crate::server::{Probe, Server};

/// Runs the flow without and with the stuck ones beside it, on one server.
pub(super) fn measure(
    plan: &Flow,
    stuck: usize,
    driver: &dyn Driver,
    server: &Server,
    waiting: Waiting,
) -> Result<Measurement, BenchError> {
    let without = flow::run(plan, driver, server, waiting)?;
    let first = plan.connections();
    let mut deaf = (0..stuck)
        .map(|index| open_subscriber(driver, server, first + index, topic_name(index % plan.topics)))
        .collect::<Result<Vec<_>, _>>()?;
    let with = flow::run(plan, driver, server, waiting)?;
    let resident = server.probe.as_ref().map(Probe::resident_bytes).transpose()?.flatten();
    let cut_off = deaf.iter_mut().map(Connection::is_cut_off).filter(|cut_off| *cut_off).count();
    let mut notes = flow::notes(&without);
    notes.extend(flow::notes(&with));
    Ok(Measurement { figures: figures(&without, &with, stuck, cut_off, resident), notes })
}

fn latency(run: &FlowRun, quantile: f64) -> Option<f64> {
    (!run.tally.latency.is_empty()).then(|| run.tally.latency.value_at_quantile(quantile) as f64)
}

fn figures(
    without: &FlowRun,
    with: &FlowRun,
    stuck: usize,
    cut_off: usize,
    resident: Option<u64>,
) -> Vec<Figure> {
    let ratio = |quantile| {
        latency(with, quantile).zip(latency(without, quantile)).map(|(with, without)| with / without)
    };
    let lost = |run: &FlowRun| run.expected.saturating_sub(run.deliveries);
    vec![
        Figure::new("stuck", "stuck", 0, Some(stuck as f64)),
        Figure::new("stuck_cut_off", "of them cut off", 0, Some(cut_off as f64)),
        Figure::new("latency_p50_us_without", "p50 µs without", 0, latency(without, 0.5)),
        Figure::new("latency_p50_us", "p50 µs with", 0, latency(with, 0.5)),
        Figure::new("latency_p99_us_without", "p99 µs without", 0, latency(without, 0.99)),
        Figure::new("latency_p99_us", "p99 µs with", 0, latency(with, 0.99)),
        Figure::new("latency_p99_ratio", "p99 with : without", 2, ratio(0.99)),
        Figure::new("latency_max_us", "max µs with", 0, latency(with, 1.0)),
        Figure::new("server_resident_kib", "server KiB", 0, resident.map(|bytes| bytes as f64 / 1024.0)),
        Figure::new("lost", "lost by readers", 0, Some((lost(without) + lost(with)) as f64)),
        Figure::new(
            "out_of_order",
            "out of order",
            0,
            Some((without.tally.out_of_order + with.tally.out_of_order) as f64),
        ),
    ]
}
