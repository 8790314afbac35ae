//! The output of figures. Knows neither scenarios nor drivers: a figure is a name and a number, and the servers of one
//! run are compared by the figures they share.

mod svg;
mod table;

use std::fmt;

use serde_json::{Map, Value, json};

use crate::drivers::Peer;

/// One number of a measurement.
#[derive(Debug, Clone, PartialEq)]
pub struct Figure {
    /// The name in JSON, with its unit.
    pub name: &'static str,
    /// The heading in a table, with its unit.
    pub label: &'static str,
    /// The number of decimals to show.
    pub decimals: usize,
    /// The number; `None` where it cannot be known.
    pub value: Option<f64>,
}

impl Figure {
    /// The beginning of the names of the figures by which servers are compared: microseconds of processor time, user and
    /// system, that all threads of the server took for one of something.
    const SERVER_CPU: &str = "server_cpu_us_per_";
    /// The server's processor time for one delivery.
    pub const SERVER_CPU_PER_DELIVERY: &str = "server_cpu_us_per_delivery";
    /// The server's processor time for one publication.
    pub const SERVER_CPU_PER_PUBLICATION: &str = "server_cpu_us_per_publication";
    /// For one connection that is accepted and subscribed.
    pub const SERVER_CPU_PER_CONNECTION: &str = "server_cpu_us_per_connection";
    /// For one subscription and its end.
    pub const SERVER_CPU_PER_ROUND: &str = "server_cpu_us_per_round";

    /// Creates a figure with its name, label, precision and value.
    pub(crate) fn new(name: &'static str, label: &'static str, decimals: usize, value: Option<f64>) -> Self {
        Self { name, label, decimals, value }
    }
}

/// The figures of one run of one peer.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// The peer that was measured.
    pub peer: Peer,
    /// The how-manieth time, from 1.
    pub repetition: usize,
    /// The numbers, in the order to show them.
    pub figures: Vec<Figure>,
    /// The notes for the reader of the figures.
    pub notes: Vec<String>,
}

/// All outcomes of a plan. Displayed, it is a table of medians.
#[derive(Debug, Clone)]
pub struct Report {
    /// The topic or pattern of the request.
    pub settings: Value,
    /// In the order they were measured.
    pub outcomes: Vec<Outcome>,
    /// The peers that took no part, with the reason.
    pub left_out: Vec<(Peer, String)>,
}

impl Report {
    /// The report as JSON: settings, medians and ratios by peer, and every single run.
    pub fn to_json(&self) -> Value {
        let peers: Vec<Value> = self
            .medians()
            .into_iter()
            .map(|(peer, figures)| {
                json!({
                    "driver": peer.name(),
                    "medians": figures_json(&figures),
                    "server_cpu_ratio_to_nats": self.cpu_ratio(peer, Peer::Nats),
                    "server_cpu_ratio_to_floor": self.cpu_ratio(peer, Peer::Floor),
                })
            })
            .collect();
        let runs: Vec<Value> = self
            .outcomes
            .iter()
            .map(|outcome| {
                json!({
                    "driver": outcome.peer.name(),
                    "repetition": outcome.repetition,
                    "figures": figures_json(&outcome.figures),
                    "notes": outcome.notes,
                })
            })
            .collect();
        json!({
            "version": env!("CARGO_PKG_VERSION"),
            "settings": self.settings,
            "drivers": peers,
            "left_out": self.left_out.iter().map(|(peer, reason)| json!({"driver": peer.name(), "reason": reason})).collect::<Vec<_>>(),
            "runs": runs,
        })
    }

    /// The report as a picture: bars for the figures that tell servers apart, in colours for light and for dark pages.
    pub fn to_svg(&self) -> String {
        svg::draw(self)
    }

    /// For each peer, in the order of its first run, the median of each figure over its runs.
    fn medians(&self) -> Vec<(Peer, Vec<Figure>)> {
        let mut peers: Vec<Peer> = Vec::new();
        for outcome in &self.outcomes {
            if !peers.contains(&outcome.peer) {
                peers.push(outcome.peer);
            }
        }
        peers.into_iter().map(|peer| (peer, self.medians_of(peer))).collect()
    }

    fn medians_of(&self, peer: Peer) -> Vec<Figure> {
        let runs: Vec<&Outcome> = self.outcomes.iter().filter(|outcome| outcome.peer == peer).collect();
        let Some(first) = runs.first() else { return Vec::new() };
        let mut figures = first.figures.clone();
        for (index, figure) in figures.iter_mut().enumerate() {
            let values = runs.iter().filter_map(|run| run.figures.get(index)?.value).collect();
            figure.value = median(values);
        }
        figures
    }

    /// The figure by which servers are compared.
    fn is_server_cpu(figure: &Figure) -> bool {
        figure.name.starts_with(Figure::SERVER_CPU)
    }

    /// The processor time per delivery, or whatever else is counted, of `peer` as a multiple of that of `other`, both medians.
    fn cpu_ratio(&self, peer: Peer, other: Peer) -> Option<f64> {
        let cpu = |peer| {
            let figures = self.medians_of(peer);
            figures.into_iter().find(Self::is_server_cpu)?.value
        };
        let (own, others) = (cpu(peer)?, cpu(other)?);
        (others > 0.0).then(|| own / others)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        table::write(self, formatter)
    }
}

fn figures_json(figures: &[Figure]) -> Value {
    let map: Map<String, Value> =
        figures.iter().map(|figure| (figure.name.to_owned(), figure.value.into())).collect();
    Value::Object(map)
}

/// The middle value, or the mean of the two in the middle.
fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let upper = *values.get(values.len() / 2)?;
    if values.len().is_multiple_of(2) {
        return Some(f64::midpoint(values[values.len() / 2 - 1], upper));
    }
    Some(upper)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(peer: Peer, repetition: usize, cpu: Option<f64>) -> Outcome {
        let figures = vec![
            Figure::new("deliveries_per_second", "deliveries/s", 0, Some(1_234_567.8)),
            Figure::new(Figure::SERVER_CPU_PER_DELIVERY, "CPU µs/delivery", 3, cpu),
        ];
        Outcome { peer, repetition, figures, notes: Vec::new() }
    }

    fn report() -> Report {
        let mut outcomes = vec![
            outcome(Peer::Fanwire, 1, Some(0.1)),
            outcome(Peer::Nats, 1, Some(0.4)),
            outcome(Peer::Fanwire, 2, Some(0.9)),
            outcome(Peer::Nats, 2, Some(0.2)),
            outcome(Peer::Fanwire, 3, Some(0.15)),
        ];
        outcomes[3].notes.push("2 subscribers were cut off".into());
        Report {
            settings: json!({"scenario": "fanout", "window": 64}),
            outcomes,
            left_out: vec![(Peer::Floor, "it is a loop".into())],
        }
    }

    #[test]
    fn medians_and_ratios_are_taken_over_the_runs_of_a_peer() {
        let json = report().to_json();
        assert_eq!(json["drivers"][0]["driver"], "fanwire");
        assert_eq!(json["drivers"][0]["medians"][Figure::SERVER_CPU_PER_DELIVERY], 0.15);
        let nats = json["drivers"][1]["medians"][Figure::SERVER_CPU_PER_DELIVERY].as_f64().unwrap();
        assert!((nats - 0.3).abs() < 1e-9);
        let ratio = json["drivers"][0]["server_cpu_ratio_to_nats"].as_f64().unwrap();
        assert!((ratio - 0.5).abs() < 1e-9);
        assert_eq!(json["drivers"][0]["server_cpu_ratio_to_floor"], Value::Null);
        assert_eq!(json["runs"].as_array().unwrap().len(), 5);
    }

    #[test]
    fn the_table_shows_medians_ratios_and_notes() {
        let table = report().to_string();
        let row = |label: &str| table.lines().find(|line| line.starts_with(label)).unwrap().to_owned();
        assert_eq!(row("deliveries/s"), "deliveries/s     1 234 568  1 234 568");
        assert_eq!(row("CPU µs/delivery"), "CPU µs/delivery      0.150      0.300");
        assert_eq!(row("CPU × nats"), "CPU × nats            0.50       1.00");
        assert!(!table.contains("× floor"), "{table}");
        assert!(table.contains("nats, run 2: 2 subscribers were cut off"), "{table}");
        assert!(table.contains("floor is left out: it is a loop"), "{table}");
    }

    #[test]
    fn an_unknown_figure_is_a_dash_and_takes_no_part_in_medians() {
        let outcomes = vec![outcome(Peer::Nats, 1, None), outcome(Peer::Nats, 2, Some(3.0))];
        let report = Report { settings: json!({}), outcomes, left_out: Vec::new() };
        assert_eq!(report.medians()[0].1[1].value, Some(3.0));
        let report = Report {
            settings: json!({}),
            outcomes: vec![outcome(Peer::Nats, 1, None)],
            left_out: Vec::new(),
        };
        assert!(report.to_string().contains(" –"), "{report}");
        assert_eq!(median(Vec::new()), None);
    }
}
