//! The report as a table for people: a column for each peer, a row for each figure.

use std::fmt;

use super::{Figure, Report};
use crate::drivers::Peer;

/// Writes the table, and under it what a reader must know.
pub(super) fn write(report: &Report, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
    writeln!(formatter, "{}", settings_line(report))?;
    write_aligned(&rows(report), formatter)?;
    for outcome in &report.outcomes {
        for note in &outcome.notes {
            writeln!(formatter, "{}, run {}: {note}", outcome.peer, outcome.repetition)?;
        }
    }
    for (peer, reason) in &report.left_out {
        writeln!(formatter, "{peer} is left out: {reason}")?;
    }
    Ok(())
}

/// A heading, a row for each figure, and a row for each peer that the others can be compared with.
fn rows(report: &Report) -> Vec<Vec<String>> {
    let medians = report.medians();
    let mut heading = vec![String::new()];
    heading.extend(medians.iter().map(|(peer, _)| peer.name().to_owned()));
    let mut rows = vec![heading];
    let Some((_, labels)) = medians.first() else { return rows };
    for (index, label) in labels.iter().enumerate() {
        let mut row = vec![label.label.to_owned()];
        row.extend(medians.iter().map(|(_, figures)| {
            let figure = &figures[index];
            show(figure.value, figure.decimals)
        }));
        rows.push(row);
    }
    for (other, heading) in [(Peer::Nats, "CPU × nats"), (Peer::Floor, "CPU × floor")] {
        let known = medians.iter().any(|(peer, figures)| *peer == other && has_cpu(figures));
        if known && medians.len() > 1 {
            let mut row = vec![heading.to_owned()];
            row.extend(medians.iter().map(|(peer, _)| show(report.cpu_ratio(*peer, other), 2)));
            rows.push(row);
        }
    }
    rows
}

/// The first column to the left, all others to the right.
fn write_aligned(rows: &[Vec<String>], formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
    let columns = rows.first().map_or(0, Vec::len);
    let widths: Vec<usize> = (0..columns)
        .map(|column| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0))
        .collect();
    for row in rows {
        for (column, (cell, width)) in row.iter().zip(&widths).enumerate() {
            if column == 0 {
                write!(formatter, "{cell:<width$}")?;
            } else {
                write!(formatter, "  {cell:>width$}")?;
            }
        }
        writeln!(formatter)?;
    }
    Ok(())
}

fn has_cpu(figures: &[Figure]) -> bool {
    figures.iter().any(|figure| Report::is_server_cpu(figure) && figure.value.is_some())
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
pub(super) fn show(value: Option<f64>, decimals: usize) -> String {
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
