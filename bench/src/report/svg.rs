//! The report as a picture for web pages: a panel for each figure that tells servers apart, a bar for each server.
//!
//! Plain SVG 1.1 with its own style sheet, which follows the reader's preference for light or dark.

use std::fmt::Write;

use super::{Figure, Report, table};
use crate::drivers::Peer;

/// The figures that are drawn, if a scenario has them, and the better direction.
const DRAWN: [(&str, &str); 11] = [
    ("deliveries_per_second", "more is better"),
    (Figure::SERVER_CPU_PER_DELIVERY, "less is better"),
    (Figure::SERVER_CPU_PER_CONNECTION, "less is better"),
    (Figure::SERVER_CPU_PER_ROUND, "less is better"),
    (Figure::SERVER_CPU_PER_PUBLICATION, "less is better"),
    ("latency_p50_us", "less is better"),
    ("latency_p99_us", "less is better"),
    ("served_max_ms", "less is better"),
    ("resident_kib_per_connection", "less is better"),
    ("bytes_per_topic_over_payload", "less is better"),
    ("publications_per_commit", "more is better"),
];

const WIDTH: usize = 640;
const MARGIN: usize = 16;
const BARS_AT: usize = 148;
const BARS_WIDTH: usize = 380;
const BAR_STEP: usize = 22;
const BAR_HEIGHT: usize = 14;
const HEADING: usize = 26;
const PANEL_GAP: usize = 14;

const STYLE: &str = "\
text{font:13px system-ui,sans-serif;fill:#1f2328}\
.page{fill:#fff}.heading{font-weight:600}.hint{fill:#59636e}.bar{fill:#8c959f}.own{fill:#0969da}\
@media(prefers-color-scheme:dark){text{fill:#f0f6fc}.page{fill:#0d1117}.hint{fill:#9198a1}.bar{fill:#6e7681}.own{fill:#4493f8}}";

/// Draws the medians of a report.
pub(super) fn draw(report: &Report) -> String {
    let medians = report.medians();
    let mut body = String::new();
    let mut top = MARGIN;
    for (name, hint) in DRAWN {
        let bars: Vec<(Peer, &Figure)> = medians
            .iter()
            .filter_map(|(peer, figures)| Some((*peer, figures.iter().find(|figure| figure.name == name)?)))
            .filter(|(_, figure)| figure.value.is_some())
            .collect();
        if !bars.is_empty() {
            top = panel(&mut body, top, &bars, hint);
        }
    }
    let height = top.saturating_sub(PANEL_GAP) + MARGIN;
    let scenario = escaped(report.settings["scenario"].as_str().unwrap_or("benchmark"));
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" height=\"{height}\" \
         role=\"img\"><title>{scenario}</title><style>{STYLE}</style>\
         <rect class=\"page\" width=\"{WIDTH}\" height=\"{height}\" rx=\"6\"/>\n{body}</svg>\n"
    )
}

/// Draws one figure from `top` on, and gives where the next begins.
fn panel(body: &mut String, top: usize, bars: &[(Peer, &Figure)], hint: &str) -> usize {
    let longest = bars.iter().filter_map(|(_, figure)| figure.value).fold(f64::MIN_POSITIVE, f64::max);
    let label = bars.first().map_or("", |(_, figure)| figure.label);
    let baseline = top + 13;
    // Writing to a string cannot fail.
    let _ = writeln!(
        body,
        "<text x=\"{MARGIN}\" y=\"{baseline}\"><tspan class=\"heading\">{}</tspan><tspan class=\"hint\" dx=\"8\">{hint}</tspan></text>",
        escaped(label)
    );
    let mut y = top + HEADING;
    for (peer, figure) in bars {
        let value = figure.value.unwrap_or_default().max(0.0);
        let width = (value / longest * BARS_WIDTH as f64).max(1.0);
        let class = if peer.name().starts_with("fanwire") { "own" } else { "bar" };
        let (text_y, value_x) = (y + 12, BARS_AT as f64 + width + 8.0);
        let _ = writeln!(
            body,
            "<text x=\"{MARGIN}\" y=\"{text_y}\">{}</text>\
             <rect class=\"{class}\" x=\"{BARS_AT}\" y=\"{y}\" width=\"{width:.1}\" height=\"{BAR_HEIGHT}\" rx=\"2\"/>\
             <text x=\"{value_x:.1}\" y=\"{text_y}\">{}</text>",
            escaped(peer.name()),
            table::show(figure.value, figure.decimals)
        );
        y += BAR_STEP;
    }
    y + PANEL_GAP
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::report::Outcome;

    fn outcome(peer: Peer, cpu: Option<f64>) -> Outcome {
        let figures = vec![
            Figure::new(Figure::SERVER_CPU_PER_DELIVERY, "CPU µs/delivery", 3, cpu),
            Figure::new("lost", "lost & found", 0, Some(0.0)),
        ];
        Outcome { peer, repetition: 1, figures, notes: Vec::new() }
    }

    #[test]
    fn bars_are_as_long_as_their_values_and_unknown_ones_are_not_there() {
        let outcomes = vec![
            outcome(Peer::Fanwire, Some(0.1)),
            outcome(Peer::Nats, Some(0.4)),
            outcome(Peer::Floor, None),
        ];
        let report = Report { settings: json!({"scenario": "fan<out"}), outcomes, left_out: Vec::new() };
        let picture = draw(&report);
        assert!(picture.contains("class=\"own\" x=\"148\" y=\"42\" width=\"95.0\""), "{picture}");
        assert!(picture.contains("width=\"380.0\""), "{picture}");
        assert!(picture.contains("<title>fan&lt;out</title>"), "{picture}");
        assert!(!picture.contains("floor") && !picture.contains("lost"), "{picture}");
        assert_eq!(picture.matches("<rect").count(), 3);
    }

    #[test]
    fn a_report_of_nothing_is_an_empty_picture() {
        let report = Report { settings: json!({}), outcomes: Vec::new(), left_out: Vec::new() };
        assert!(draw(&report).starts_with("<svg "));
    }
}
