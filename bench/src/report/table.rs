//! The report as a table for people: one line for each peer.

use std::fmt;

use super::{Figure, Report};
use crate::drivers::Peer;

/// Writes the table, and under it what a reader must know.
pub(super) fn write(report: &Report, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
    let medians = report.medians();
    let mut rows: Vec<Vec<String>> = Vec::new();
    let mut headings = vec![String::new()];
    for (index, (peer, figures)) in medians.iter().enumerate() {
        let mut row = vec![peer.name().to_owned()];
        for figure in figures {
            if index == 0 {
                headings.push(figure.label.to_owned());
            }
            row.push(show(figure.value, figure.decimals));
        }
        // A ratio only where there is something to compare with.
        for (other, heading) in [(Peer::Nats, "CPU × nats"), (Peer::Floor, "CPU × floor")] {
            let compared =
                medians.len() > 1 && medians.iter().any(|(peer, figures)| *peer == other && has_cpu(figures));
            if compared {
                if index == 0 {
                    headings.push(heading.to_owned());
                }
                row.push(show(report.cpu_ratio(*peer, other), 2));
            }
        }
        rows.push(row);
    }
    rows.insert(0, headings);
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns)
        .map(|column| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max())
        .map(|width| width.unwrap_or(0))
        .collect();
    writeln!(formatter, "{}", settings_line(report))?;
    for row in &rows {
        let mut line = String::new();
        for (column, (cell, width)) in row.iter().zip(&widths).enumerate() {
            if column == 0 {
                line.push_str(&format!("{cell:<width$}"));
            } else {
                line.push_str(&format!("  {cell:>width$}"));
            }
        }
        writeln!(formatter, "{}", line.trim_end())?;
    }
    for outcome in &report.outcomes {
        for note in &outcome.notes {
            writeln!(formatter, "{}, run {}: {note}", outcome.peer, outcome.repetition)?;
        }
    }
    Ok(())
}

fn has_cpu(figures: &[Figure]) -> bool {
    figures.iter().any(|figure| figure.name == Figure::SERVER_CPU_PER_DELIVERY && figure.value.is_some())
}

fn settings_line(report: &Report) -> String {
    let Some(settings) = report.settings.as_object() else { return String::new() };
    let known: Vec<String> = settings
        .iter()
        .filter(|(_, value)| !value.is_null())
        .map(|(name, value)| format!("{name} {}", value.to_string().trim_matches('"')))
        .collect();
    known.join(", ")
}

/// A number with its decimals and with thin groups of three digits, as `1 234 567`.
fn show(value: Option<f64>, decimals: usize) -> String {
    let Some(value) = value else { return "–".into() };
    let text = format!("{value:.decimals$}");
    let (sign, digits) = text.strip_prefix('-').map_or(("", text.as_str()), |digits| ("-", digits));
    let (whole, fraction) =
        digits.split_once('.').map_or((digits, None), |(whole, part)| (whole, Some(part)));
    let mut shown = sign.to_owned();
    for (index, digit) in whole.chars().enumerate() {
        if index > 0 && (whole.len() - index).is_multiple_of(3) {
            shown.push(' ');
        }
        shown.push(digit);
    }
    if let Some(fraction) = fraction {
        shown.push('.');
        shown.push_str(fraction);
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped_and_rounded() {
        for (value, decimals, expected) in [
            (0.0, 0, "0"),
            (999.0, 0, "999"),
            (1000.0, 0, "1 000"),
            (1_234_567.89, 1, "1 234 567.9"),
            (-1234.5, 2, "-1 234.50"),
            (0.0264, 3, "0.026"),
        ] {
            assert_eq!(show(Some(value), decimals), expected);
        }
        assert_eq!(show(None, 3), "–");
    }
}
