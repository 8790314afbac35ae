//! Many connections at once: whether all are served, when, and what each costs the server.

use super::{Measurement, Reading, topic_name};
use crate::drivers::Driver;
use crate::error::BenchError;
use crate::load::{Weathered, weather};
use crate::plan::Storm;
use crate::report::Figure;
use crate::server::Server;

/// Lets the storm come once, every connection subscribed to one topic, and gives its figures.
pub(super) fn measure(
    storm: &Storm,
    driver: &dyn Driver,
    server: &Server,
) -> Result<Measurement, BenchError> {
    let probe = server.probe.as_ref();
    let (host, topic) = (server.host(), [topic_name(0)]);
    let before = Reading::of(probe)?;
    let weathered = weather(&server.endpoint, storm.connections, || driver.subscriber(&host, &topic))?;
    let after = Reading::of(probe)?;
    let unserved = storm.connections - weathered.served;
    let notes = weathered
        .refusal
        .iter()
        .map(|reason| format!("{unserved} connections were not served, the first because {reason}"))
        .collect();
    Ok(Measurement { figures: figures(storm, &weathered, &before, &after), notes })
}

fn figures(storm: &Storm, weathered: &Weathered, before: &Reading, after: &Reading) -> Vec<Figure> {
    let count = |number: usize| Some(number as f64);
    let latency = |quantile| {
        (weathered.served > 0).then(|| weathered.latency.value_at_quantile(quantile) as f64 / 1000.0)
    };
    vec![
        Figure::new("connections", "connections", 0, count(storm.connections)),
        Figure::new("served", "served", 0, count(weathered.served)),
        Figure::new("refused", "not served", 0, count(storm.connections - weathered.served)),
        Figure::new("all_served_ms", "ms until the last", 0, Some(weathered.elapsed.as_secs_f64() * 1e3)),
        Figure::new("served_p50_ms", "p50 ms", 0, latency(0.5)),
        Figure::new("served_p99_ms", "p99 ms", 0, latency(0.99)),
        Figure::new("served_max_ms", "max ms", 0, latency(1.0)),
        Figure::new(
            Figure::SERVER_CPU_PER_CONNECTION,
            "CPU µs/connection",
            1,
            after.cpu_us_each(before, weathered.served),
        ),
        Figure::new(
            "resident_kib_per_connection",
            "KiB/connection",
            2,
            after.bytes_each(before, weathered.served).map(|bytes| bytes / 1024.0),
        ),
    ]
}
