//! Publications flow from publishers to subscribers: `fanout` (one topic) and `topics` (a subscriber each).

use std::rc::Rc;
use std::time::Duration;

use super::{EVERY_TOPIC, Measurement, open_subscriber, topic_name};
use crate::drivers::Driver;
use crate::error::BenchError;
use crate::load::{
    Connection, Flow as Load, FlowPlan, FlowRun, Gate, Listening, Pace, Publisher, Subscriber, Tally,
    Waiting, Window,
};
use crate::plan::{Flow, Listeners, Pacing};
use crate::report::Figure;
use crate::server::{Probe, Server};
use crate::wire::Template;

/// Opens everything, runs the load once, and gives its figures.
pub(super) fn measure(
    flow: &Flow,
    driver: &dyn Driver,
    server: &Server,
    waiting: Waiting,
) -> Result<Measurement, BenchError> {
    let run = run(flow, driver, server, waiting)?;
    let resident = server.probe.as_ref().map(Probe::resident_bytes).transpose()?.flatten();
    Ok(Measurement { figures: figures(&run, resident), notes: notes(&run) })
}

/// Opens everything and runs the load once.
pub(super) fn run(
    flow: &Flow,
    driver: &dyn Driver,
    server: &Server,
    waiting: Waiting,
) -> Result<FlowRun, BenchError> {
    let mut tally = Tally::new();
    let subscribers = open_subscribers(flow, driver, server, &mut tally)?;
    let publishers = open_publishers(flow, driver, server)?;
    let plan = FlowPlan { warmup: flow.warmup, duration: flow.duration };
    Load::new(subscribers, publishers, tally, server.probe.as_ref(), waiting)?.run(plan)
}

fn open_subscribers(
    flow: &Flow,
    driver: &dyn Driver,
    server: &Server,
    tally: &mut Tally,
) -> Result<Vec<Subscriber>, BenchError> {
    (0..flow.subscribers)
        .map(|number| {
            let topic = number % flow.topics;
            let (listening, pattern) = match flow.listeners {
                Listeners::OneTopicEach => (Listening::Topic(topic), topic_name(topic)),
                Listeners::Everything => (Listening::Everything, EVERY_TOPIC.to_owned()),
            };
            let connection = open_subscriber(driver, server, number, pattern)?;
            let inspected =
                flow.listeners == Listeners::OneTopicEach && number.is_multiple_of(flow.inspect_every);
            Ok(Subscriber::new(connection, listening, if inspected { flow.publishers } else { 0 }, tally))
        })
        .collect()
}

fn open_publishers(flow: &Flow, driver: &dyn Driver, server: &Server) -> Result<Vec<Publisher>, BenchError> {
    let payload = Template::payload(flow.payload_bytes);
    let templates: Rc<[Template]> =
        (0..flow.topics).map(|topic| driver.publication(&topic_name(topic), &payload)).collect();
    let only_topic = topic_name(0);
    let alone_in = (flow.topics == 1 && flow.publishers == 1).then_some(only_topic.as_str());
    (0..flow.publishers)
        .map(|index| {
            let opening = driver.publisher(&server.host(), alone_in)?;
            let connection = Connection::open(&server.endpoint, flow.subscribers + index, opening)?;
            let gate = match flow.pacing {
                Pacing::Window(size) => {
                    Gate::Window(Window::new(size.min(driver.outstanding_max()), driver.group()))
                }
                Pacing::Rate(rate) => {
                    let pace = Pace::shared(rate, index, flow.publishers, 0);
                    match driver.outstanding_max() {
                        u64::MAX => Gate::Pace(pace),
                        most => Gate::PaceWithin(pace, Window::new(most, driver.group())),
                    }
                }
            };
            let share = share(flow.publications, index, flow.publishers, driver.group());
            Ok(Publisher::new(index as u16, connection, gate, Rc::clone(&templates), share))
        })
        .collect()
}

/// Returns the share of publisher `index` in `publications`, in whole groups of `group`, at least one.
fn share(publications: Option<u64>, index: usize, publishers: usize, group: u64) -> u64 {
    let Some(publications) = publications else { return u64::MAX };
    let (each, rest) = (publications / publishers as u64, publications % publishers as u64);
    let share = each + u64::from((index as u64) < rest);
    if group == 1 { share } else { (share / group).max(1) * group }
}

fn figures(run: &FlowRun, resident: Option<u64>) -> Vec<Figure> {
    let measured = &run.measured;
    let deliveries = measured.deliveries as f64;
    let seconds = measured.elapsed.as_secs_f64();
    let each = |total: f64| (measured.deliveries > 0).then(|| total / deliveries);
    let micros = |time: Duration| time.as_secs_f64() * 1e6;
    let latency = |quantile: f64| {
        (!run.tally.latency.is_empty()).then(|| run.tally.latency.value_at_quantile(quantile) as f64)
    };
    let busy = |waited: Duration| 100.0 * (1.0 - waited.as_secs_f64() / seconds).clamp(0.0, 1.0);
    let maximum = (!run.tally.latency.is_empty()).then(|| run.tally.latency.max() as f64);
    vec![
        Figure::new(
            "deliveries_per_second",
            "deliveries/s",
            0,
            (seconds > 0.0).then(|| deliveries / seconds),
        ),
        Figure::new(
            Figure::SERVER_CPU_PER_DELIVERY,
            "CPU µs/delivery",
            3,
            measured.server_cpu.and_then(|time| each(micros(time))),
        ),
        Figure::new("latency_p50_us", "p50 µs", 0, latency(0.5)),
        Figure::new("latency_p90_us", "p90 µs", 0, latency(0.9)),
        Figure::new("latency_p99_us", "p99 µs", 0, latency(0.99)),
        Figure::new("latency_p999_us", "p99.9 µs", 0, latency(0.999)),
        Figure::new("latency_max_us", "max µs", 0, maximum),
        Figure::new("server_resident_kib", "server KiB", 0, resident.map(|bytes| bytes as f64 / 1024.0)),
        Figure::new(
            "deliveries_per_read",
            "frames/read",
            1,
            (measured.reads > 0).then(|| deliveries / measured.reads as f64),
        ),
        Figure::new("load_busy_percent", "load busy %", 0, (seconds > 0.0).then(|| busy(measured.waited))),
        Figure::new("publications", "publications", 0, Some(run.publications as f64)),
        Figure::new("lost", "lost", 0, Some(run.expected.saturating_sub(run.deliveries) as f64)),
        Figure::new("surplus", "surplus", 0, Some(run.deliveries.saturating_sub(run.expected) as f64)),
        Figure::new("out_of_order", "out of order", 0, Some(run.tally.out_of_order as f64)),
    ]
}

/// Returns the notes for the reader of the run's figures.
pub(super) fn notes(run: &FlowRun) -> Vec<String> {
    let mut notes = Vec::new();
    if let Some(reason) = &run.closed_because {
        notes.push(format!("{} subscribers were cut off, the first because {reason}", run.closed));
    }
    if run.tally.unstamped > 0 {
        notes.push(format!("{} messages had no readable stamp", run.tally.unstamped));
    }
    if run.measured.deliveries == 0 {
        notes.push("nothing arrived while measuring".into());
    }
    notes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::Measured;

    fn value(figures: &[Figure], name: &str) -> Option<f64> {
        figures.iter().find(|figure| figure.name == name).unwrap().value
    }

    fn run() -> FlowRun {
        let mut tally = Tally::new();
        for micros in [100, 200, 300, 400] {
            tally.latency.record(micros).unwrap();
        }
        tally.out_of_order = 2;
        FlowRun {
            publications: 50,
            expected: 5000,
            deliveries: 4990,
            measured: Measured {
                deliveries: 4000,
                reads: 1000,
                elapsed: Duration::from_millis(500),
                server_cpu: Some(Duration::from_millis(8)),
                busiest_thread_cpu: Some(Duration::from_millis(5)),
                waited: Duration::from_millis(250),
            },
            tally,
            closed: 0,
            closed_because: None,
        }
    }

    #[test]
    fn figures_follow_from_the_counts() {
        let figures = figures(&run(), Some(2048));
        assert_eq!(value(&figures, "deliveries_per_second"), Some(8000.0));
        assert_eq!(value(&figures, Figure::SERVER_CPU_PER_DELIVERY), Some(2.0));
        assert_eq!(value(&figures, "latency_p50_us"), Some(200.0));
        assert_eq!(value(&figures, "latency_max_us"), Some(400.0));
        assert_eq!(value(&figures, "server_resident_kib"), Some(2.0));
        assert_eq!(value(&figures, "deliveries_per_read"), Some(4.0));
        assert_eq!(value(&figures, "load_busy_percent"), Some(50.0));
        assert_eq!(value(&figures, "lost"), Some(10.0));
        assert_eq!(value(&figures, "surplus"), Some(0.0));
        assert_eq!(value(&figures, "out_of_order"), Some(2.0));
    }

    #[test]
    fn what_is_not_known_is_no_figure() {
        let mut run = run();
        run.tally.latency.reset();
        run.measured = Measured { deliveries: 0, reads: 0, server_cpu: None, ..run.measured };
        let figures = figures(&run, None);
        for name in ["latency_p99_us", "latency_max_us", "deliveries_per_read", "server_resident_kib"] {
            assert_eq!(value(&figures, name), None, "{name}");
        }
        assert_eq!(value(&figures, Figure::SERVER_CPU_PER_DELIVERY), None);
        assert_eq!(notes(&run), ["nothing arrived while measuring"]);
    }

    #[test]
    fn publications_are_shared_out_completely_and_in_whole_groups() {
        assert_eq!(share(None, 0, 3, 1), u64::MAX);
        assert_eq!((0..3).map(|index| share(Some(10), index, 3, 1)).sum::<u64>(), 10);
        assert_eq!(share(Some(100), 0, 1, 64), 64);
        assert_eq!(share(Some(10), 0, 1, 64), 64);
    }
}
