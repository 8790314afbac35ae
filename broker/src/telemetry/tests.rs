//! Tests of the table of metrics: against its pages, the documentation, the OpenAPI document and the dashboard.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use serde_json::Value;

use super::metric::Metric;
use super::table::METRICS;
use super::{Facts, Metrics, Overview, Shared, Transport, WorkerCounters};

const DOCUMENT: &str = include_str!("../../../docs/operations.md");
const OPENAPI: &str = include_str!("../../../docs/openapi.json");
const DASHBOARD: &str = include_str!("../../../deploy/grafana/dashboards/fanwire.json");

fn overview(workers: Vec<Arc<WorkerCounters>>, shared: Arc<Shared>) -> Overview {
    let facts = Facts { history_bytes_max: 7, outbox_bytes_max: 5, has_hooks: false, has_store: true };
    Overview::new(workers, shared, facts)
}

#[test]
fn page_has_the_sum_of_all_workers() {
    let workers = vec![Arc::new(WorkerCounters::default()), Arc::new(WorkerCounters::default())];
    workers[0].publications.add(3);
    workers[1].publications.add(4);
    workers[0].connections[Transport::Bare as usize].add(1);
    workers[1].connections[Transport::Bare as usize].subtract(1);
    workers[1].delivered_after(70);
    workers[0].closes_by_client.add(9);
    let shared = Arc::new(Shared::default());
    shared.callouts_us.store(1_500_000, Ordering::Relaxed);
    let page = Metrics::new(workers, shared).unwrap().render().unwrap();
    for line in [
        "fanwire_publications_total 7",
        "fanwire_connections{transport=\"bare\"} 0",
        "fanwire_closes_total{reason=\"by_client\"} 9",
        "fanwire_callouts_seconds_total 1.5",
        "fanwire_api_requests_total{operation=\"read\",outcome=\"done\"} 0",
        "fanwire_delivery_latency_seconds_bucket{le=\"0.00005\"} 0",
        "fanwire_delivery_latency_seconds_bucket{le=\"0.0001\"} 1",
        "fanwire_delivery_latency_seconds_bucket{le=\"+Inf\"} 1",
        concat!("fanwire_build_info{version=\"", env!("CARGO_PKG_VERSION"), "\"} 1"),
    ] {
        assert!(page.lines().any(|found| found == line), "{line} in\n{page}");
    }
}

/// `/metrics` and `/api/v1/stats` are written whole, because no client can make them grow: docs/limits.md states these bounds.
#[test]
fn pages_of_metrics_have_a_bound_whatever_is_counted() {
    const WORKERS: usize = 8;
    /// More digits than any value has.
    const DIGITS_MAX: usize = 24;
    let workers: Vec<Arc<WorkerCounters>> = (0..WORKERS).map(|_| Arc::default()).collect();
    let shared = Arc::new(Shared::default());
    let page = Metrics::new(workers.clone(), shared.clone()).unwrap().render().unwrap();
    let series = page.lines().filter(|line| !line.starts_with('#')).count();
    let largest = page.len() + series * DIGITS_MAX;
    assert!(largest < 64 * 1024, "/metrics may have {largest} bytes");
    let size = |workers: &[Arc<WorkerCounters>]| {
        let stats = overview(workers.to_vec(), shared.clone()).stats(Some("x".repeat(1000).into()));
        let text = stats.to_string();
        text.len() + text.matches(':').count() * DIGITS_MAX
    };
    let (one, all) = (size(&workers[..1]), size(&workers));
    let each = (all - one) / (WORKERS - 1);
    assert!(one - each < 16 * 1024 && each < 2 * 1024, "/api/v1/stats: {one} bytes, {each} for each worker");
    assert!(OPENAPI.len() < 256 * 1024, "/openapi.json: {} bytes", OPENAPI.len());
}

#[test]
fn rates_are_computed_over_the_interval_between_two_calls() {
    let worker = Arc::new(WorkerCounters::default());
    let shared = Arc::new(Shared::default());
    let overview = overview(vec![worker.clone(), Arc::default()], shared.clone());
    assert_eq!(overview.stats(None)["rates"]["deliveries"], 0.0);
    worker.deliveries.add(1000);
    overview.measure_pace(1_000_000);
    worker.publications.add(30);
    shared.durable_publications.fetch_add(20, Ordering::Relaxed);
    overview.measure_pace(3_000_000);
    overview.measure_pace(3_000_000);
    let stats = overview.stats(None);
    assert_eq!((&stats["rates"]["publications"], &stats["rates"]["deliveries"]), (&25.0.into(), &0.0.into()));
    assert_eq!(
        (&stats["totals"]["publications"], &stats["totals"]["deliveries"]),
        (&50.into(), &1000.into())
    );
}

#[test]
fn statistics_have_each_worker_and_their_sum() {
    let workers: Vec<Arc<WorkerCounters>> = vec![Arc::default(), Arc::default()];
    workers[0].connections[Transport::Sse as usize].add(2);
    workers[1].connections[Transport::Sse as usize].add(3);
    workers[1].delivered_after(70);
    workers[1].delivered_after(9_000_000);
    let stats = overview(workers, Arc::default()).stats(Some("full".into()));
    assert_eq!(stats["connections"]["sse"], 5);
    let connections: Vec<&Value> =
        stats["workers"].as_array().unwrap().iter().map(|w| &w["connections"]).collect();
    assert_eq!(connections, [2, 3]);
    assert_eq!(
        (&stats["latency"]["count"], &stats["latency"]["buckets"][1]["count"]),
        (&2.into(), &1.into())
    );
    let last = stats["latency"]["buckets"].as_array().unwrap().last().unwrap();
    assert_eq!((last.get("at_most_us"), &last["count"]), (None, &1.into()));
    assert_eq!(stats["store"]["failure"], "full");
    assert_eq!(stats["api_requests"]["read"]["failed"], 0);
    assert!(stats.get("certificate_expires").is_none());
    #[cfg(target_os = "linux")]
    assert!(stats["process"]["resident_memory_bytes"].as_f64() > Some(0.0));
}

/// Returns the row of a metric in docs/operations.md.
fn row(metric: &Metric) -> String {
    let names: Vec<&str> = metric.labels.iter().map(|label| label.name).collect();
    let labels = if names.is_empty() { String::new() } else { format!("{{{}}}", names.join(",")) };
    let mut text = metric.help.to_owned();
    for label in metric.labels.iter().filter(|label| label.name != "version") {
        let values: Vec<String> = (label.values)().iter().map(|value| format!("`{value}`")).collect();
        text = format!("{text} `{}`: {}.", label.name, values.join(", "));
    }
    if !metric.see.is_empty() {
        text = format!("{text} See {}.", metric.see);
    }
    let json = metric.json.map_or("–".to_owned(), |key| format!("`{key}`"));
    let kind = format!("{:?}", metric.kind).to_lowercase();
    format!("| `{}{labels}` | {kind} | {json} | {text} |\n", metric.name)
}

#[test]
fn document_for_operators_has_the_table() {
    let table: String = METRICS.iter().map(row).collect();
    let expected =
        format!("| metric | type | in `/api/v1/stats` | meaning |\n| --- | --- | --- | --- |\n{table}\n");
    assert!(DOCUMENT.contains(&expected), "docs/operations.md must contain this table:\n\n{expected}");
}

#[test]
fn every_name_and_label_in_documents_and_the_dashboard_is_in_the_table() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let read = |path: &str| std::fs::read_to_string(root.join(path)).unwrap();
    let mut found = BTreeSet::new();
    for text in
        [DOCUMENT, DASHBOARD, &read("docs/hooks.md"), &read("docs/security.md"), &read("docs/limits.md")]
    {
        for (at, _) in text.match_indices("fanwire_") {
            let is_word = |letter: char| letter.is_ascii_lowercase() || letter == '_';
            let before = text[..at].chars().next_back().unwrap_or(' ');
            let name: &str = text[at..].split(|letter| !is_word(letter)).next().unwrap();
            // Names of crates, files and log filters are no metrics.
            if before.is_alphanumeric() || before == '/' || ["fanwire_broker", "fanwire_core"].contains(&name)
            {
                continue;
            }
            let plain = ["_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end));
            let metric = METRICS.iter().find(|metric| metric.name == name || Some(metric.name) == plain);
            let metric = metric.unwrap_or_else(|| panic!("there is no metric {name}"));
            let braces = text[at + name.len()..].strip_prefix('{').and_then(|rest| rest.split('}').next());
            braces.map(|labels| check_labels(metric, labels)).unwrap_or_default();
            found.insert(metric.name);
        }
    }
    assert!(found.len() > 40, "{found:?}");
}

#[test]
fn the_dashboard_shows_every_metric() {
    for metric in METRICS.iter().filter(|metric| metric.name != "fanwire_build_info") {
        let is_shown = DASHBOARD.match_indices(metric.name).any(|(at, name)| {
            let rest = &DASHBOARD[at + name.len()..];
            ["{", "_bucket{", "_sum{"].iter().any(|end| rest.starts_with(end))
        });
        assert!(is_shown, "deploy/grafana/dashboards/fanwire.json has no panel with {}", metric.name);
    }
}

/// Checks label names, and values that are compared with `=`.
fn check_labels(metric: &Metric, labels: &str) {
    for label in labels.split(',') {
        let (name, value) = label.split_once('=').map_or((label, None), |(name, value)| (name, Some(value)));
        // Prometheus adds the instance, and `le` belongs to every histogram.
        if ["instance", "le"].contains(&name.trim()) {
            continue;
        }
        let known = metric.labels.iter().find(|known| known.name == name.trim());
        let known = known.unwrap_or_else(|| panic!("{} has no label {name}", metric.name));
        if let Some(value) = value.filter(|value| !value.starts_with('~')) {
            let value = value.trim_matches(|letter| "\\\"".contains(letter));
            assert!((known.values)().contains(&value), "{}: {name} is never {value}", metric.name);
        }
    }
}

#[test]
fn openapi_document_has_every_key_of_the_statistics() {
    let openapi: Value = serde_json::from_str(OPENAPI).unwrap();
    let schema = &openapi["components"]["schemas"]["Stats"];
    let stats = overview(vec![Arc::default()], Arc::default()).stats(None);
    check_schema("stats", schema, &stats);
}

/// Checks that an object has exactly the required keys of its schema, at every depth.
fn check_schema(path: &str, schema: &Value, value: &Value) {
    let Some(properties) = schema["properties"].as_object() else { return };
    let required: BTreeSet<&str> =
        schema["required"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    let keys: BTreeSet<&str> = value.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(keys, required, "{path} in docs/openapi.json");
    for (key, schema) in properties {
        check_schema(&format!("{path}.{key}"), schema, &value[key]);
    }
}
