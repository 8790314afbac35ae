//! One worker against more: how much more a server delivers until its busiest thread is at its end.
//!
//! Deliveries per second of wall time say that only where neither the load nor the number of cores binds. Deliveries per
//! second of processor time of the busiest thread say it on any machine.

use super::{Measurement, flow};
use crate::drivers::Driver;
use crate::error::BenchError;
use crate::load::{FlowRun, Waiting};
use crate::plan::Flow;
use crate::report::Figure;
use crate::server::Server;

/// Runs the flow through a server with one worker, then through one with `workers`.
pub(super) fn measure(
    plan: &Flow,
    workers: usize,
    waiting: Waiting,
    start: impl Fn(usize) -> Result<(Box<dyn Driver>, Server), BenchError>,
) -> Result<Measurement, BenchError> {
    let run = |workers| {
        let (driver, server) = start(workers)?;
        flow::run(plan, driver.as_ref(), &server, waiting)
    };
    let (one, more) = (run(1)?, run(workers)?);
    let mut notes = flow::notes(&one);
    notes.extend(flow::notes(&more));
    Ok(Measurement { figures: figures(workers, &one, &more), notes })
}

fn per_busiest_second(run: &FlowRun) -> Option<f64> {
    let cpu = run.measured.busiest_thread_cpu.filter(|cpu| !cpu.is_zero())?;
    Some(run.measured.deliveries as f64 / cpu.as_secs_f64())
}

fn per_second(run: &FlowRun) -> Option<f64> {
    let elapsed = run.measured.elapsed.as_secs_f64();
    (elapsed > 0.0).then(|| run.measured.deliveries as f64 / elapsed)
}

fn cpu_each(run: &FlowRun) -> Option<f64> {
    let cpu = run.measured.server_cpu.filter(|_| run.measured.deliveries > 0)?;
    Some(cpu.as_secs_f64() * 1e6 / run.measured.deliveries as f64)
}

fn figures(workers: usize, one: &FlowRun, more: &FlowRun) -> Vec<Figure> {
    let ratio = |of: fn(&FlowRun) -> Option<f64>| of(more).zip(of(one)).map(|(more, one)| more / one);
    let lost = |run: &FlowRun| run.expected.saturating_sub(run.deliveries);
    vec![
        Figure::new("workers", "workers", 0, Some(workers as f64)),
        Figure::new("busiest_thread_one", "deliveries/busiest CPU s, 1 worker", 0, per_busiest_second(one)),
        Figure::new("busiest_thread_more", "deliveries/busiest CPU s, more", 0, per_busiest_second(more)),
        Figure::new("busiest_thread_ratio", "more : 1", 2, ratio(per_busiest_second)),
        Figure::new("deliveries_per_second_one", "deliveries/s, 1 worker", 0, per_second(one)),
        Figure::new("deliveries_per_second", "deliveries/s, more", 0, per_second(more)),
        Figure::new("cpu_us_one", "CPU µs/delivery, 1 worker", 3, cpu_each(one)),
        Figure::new(Figure::SERVER_CPU_PER_DELIVERY, "CPU µs/delivery, more", 3, cpu_each(more)),
        Figure::new("lost", "lost", 0, Some((lost(one) + lost(more)) as f64)),
        Figure::new(
            "out_of_order",
            "out of order",
            0,
            Some((one.tally.out_of_order + more.tally.out_of_order) as f64),
        ),
    ]
}
