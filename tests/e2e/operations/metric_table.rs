//! The list of metrics in docs/operations.md, held against what a running broker serves.

use std::collections::BTreeSet;

use fanwire_tests::Broker;

/// The documented series, as `name{label="value"}`, and the documented types, as `name type`.
#[derive(Debug, Default, PartialEq, Eq)]
struct Listing {
    types: BTreeSet<String>,
    series: BTreeSet<String>,
}

/// Reads the rows of the table: name and labels, type, JSON key, and a meaning that lists the values of each label.
fn documented() -> Listing {
    let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/operations.md"))
        .expect("docs/operations.md is there");
    let (_, table) = text.split_once("| metric | type | in `/api/v1/stats` | meaning |\n").expect("a table");
    let mut listing = Listing::default();
    for row in table.lines().skip(1).take_while(|line| line.starts_with('|')) {
        let cells: Vec<&str> = row.trim_matches('|').split(" | ").map(str::trim).collect();
        let [metric, kind, _, meaning] = cells[..] else { panic!("four cells in {row}") };
        let metric = metric.trim_matches('`');
        let (name, labels) = metric.split_once('{').unwrap_or((metric, ""));
        listing.types.insert(format!("{name} {kind}"));
        let mut series = vec![String::new()];
        for label in labels.trim_end_matches('}').split(',').filter(|label| !label.is_empty()) {
            let values = meaning.split_once(&format!("`{label}`: ")).map_or("", |(_, rest)| rest);
            let values = values.split_once('.').map_or(values, |(values, _)| values);
            let values: Vec<&str> = values.split('`').skip(1).step_by(2).collect();
            let add = |labels: &String| {
                let one = |value: &&str| format!("{labels},{label}=\"{value}\"");
                values.iter().map(one).collect::<Vec<_>>()
            };
            series = series.iter().flat_map(add).collect();
        }
        let write = |labels: String| match labels.trim_start_matches(',') {
            "" => name.to_owned(),
            labels => format!("{name}{{{labels}}}"),
        };
        listing.series.extend(series.into_iter().map(write));
    }
    listing
}

/// Reads the same from the page. The series of a histogram count as one.
fn served(page: &str) -> Listing {
    let mut listing = Listing::default();
    for line in page.lines() {
        if let Some(metric) = line.strip_prefix("# TYPE fanwire_") {
            listing.types.insert(format!("fanwire_{metric}"));
        } else if let Some(series) = line.strip_prefix("fanwire_").and_then(|line| line.rsplit(' ').nth(1)) {
            let endings = ["_bucket", "_sum", "_count"];
            let name = series.split('{').next().unwrap_or(series);
            let plain = endings.iter().find_map(|ending| name.strip_suffix(ending));
            let plain = plain.filter(|name| listing.types.contains(&format!("fanwire_{name} histogram")));
            listing.series.insert(format!("fanwire_{}", plain.unwrap_or(series)));
        }
    }
    listing
}

#[test]
fn running_broker_serves_exactly_the_documented_metrics_with_their_label_values() {
    let broker = Broker::start(&[]);
    let page = fanwire_tests::get(broker.address(), "/metrics").text();
    let mut served = served(&page);
    // The version is the one label whose value is not documented.
    served.series.retain(|series| !series.starts_with("fanwire_build_info{version="));
    let mut documented = documented();
    documented.series.retain(|series| !series.starts_with("fanwire_build_info"));
    assert!(served.types.len() > 40 && served.series.len() > 100, "{served:?}");
    let difference = |left: &BTreeSet<String>, right: &BTreeSet<String>| {
        left.difference(right).cloned().collect::<Vec<String>>()
    };
    for (documented, served) in [(documented.types, served.types), (documented.series, served.series)] {
        assert_eq!(difference(&served, &documented), [""; 0], "served, but not documented");
        assert_eq!(difference(&documented, &served), [""; 0], "documented, but not served");
    }
}
