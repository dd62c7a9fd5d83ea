//! The main figures of a comparison, drawn: a panel for each, a bar for each server. What is far longer than the middle is cut off, and
//! says how long it would be.

use std::fmt::Write;

use super::results::{Results, Row, shown};
use super::subject::Kind;
use crate::figures::median;

/// Workload, figure, and what the panel is called.
const PANELS: [(&str, &str, &str); 9] = [
    ("unicast", "processor time a delivery", "an event to one session"),
    ("fanout", "processor time a delivery", "a delivery"),
    ("connect", "a hand-shake, new token", "a hand-shake, new token"),
    ("connect", "a hand-shake, token seen before", "a hand-shake, token seen before"),
    ("idle", "memory a session", "memory of an idle session"),
    ("idle", "processor time", "processor time of idle sessions"),
    ("steady", "p50", "delay, p50"),
    ("steady", "p99", "delay, p99"),
    ("steady", "p99.9", "delay, p99.9"),
];
const WIDTH: u32 = 860;
const BAR: u32 = 16;
const GAP: u32 = 26;
const LEFT: u32 = 140;
/// The longest bar; its figure stands behind it.
const LONGEST: f64 = 580.0;
/// Bars longer than so many times the middle one are cut off.
const CUT: f64 = 4.0;

pub(super) fn svg(results: &Results) -> String {
    let panels: Vec<_> =
        PANELS.iter().flat_map(|panel| rows(results, panel).into_iter().map(move |row| (panel.2, row))).collect();
    let (mut body, mut top) = (String::new(), 10);
    for (title, row) in panels {
        top = draw(&mut body, title, row, top);
    }
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {top}\" width=\"{WIDTH}\" height=\"{top}\" \
         font-family=\"sans-serif\" font-size=\"12\">\n<rect width=\"{WIDTH}\" height=\"{top}\" fill=\"white\"/>\n{body}</svg>\n"
    )
}

/// The rows of a panel: one, of the largest size; of fan-out one for each size of groups, of steady events one with and one without more
/// sessions.
fn rows<'r>(results: &'r Results, (workload, figure, _): &(&str, &str, &str)) -> Vec<&'r Row> {
    let all = results.rows.iter().filter(|row| row.workload == *workload && row.figure == *figure);
    let mut chosen: Vec<&Row> = Vec::new();
    for row in all {
        let variant = variant(row);
        chosen.retain(|other| self::variant(other) != variant);
        chosen.push(row);
    }
    chosen
}

/// What a row measures beside its size.
fn variant(row: &Row) -> (&str, bool) {
    let groups = row.setting.split(',').next().filter(|words| words.starts_with("groups")).unwrap_or_default();
    (groups, row.setting.ends_with("meanwhile"))
}

/// Draws a panel and returns where the next begins.
fn draw(body: &mut String, title: &str, row: &Row, top: u32) -> u32 {
    let bars: Vec<(Kind, f64)> = row.rounds.keys().filter_map(|kind| Some((*kind, row.median(*kind)?))).collect();
    let full = scale(&bars.iter().map(|(_, value)| *value).collect::<Vec<_>>());
    let mut y = top + BAR;
    text(body, 10, y, &format!("<tspan font-weight=\"bold\">{title}, {}</tspan> ({})", row.unit, row.setting));
    y += 8;
    for (kind, value) in bars {
        let (length, is_cut) = length(value, full);
        let colour =
            if matches!(kind, Kind::Bellwire | Kind::BellwirePipelined | Kind::BellwireLibrary) { "#1f6feb" } else { "#9aa4b2" };
        text(body, 10, y + 12, kind.name());
        writeln!(body, "<rect x=\"{LEFT}\" y=\"{y}\" width=\"{length:.1}\" height=\"{BAR}\" fill=\"{colour}\"/>").ok();
        let figure = if is_cut { format!("→ {}", shown(value)) } else { shown(value) };
        writeln!(body, "<text x=\"{:.1}\" y=\"{}\">{figure}</text>", f64::from(LEFT) + length + 6.0, y + 12).ok();
        y += BAR + 4;
    }
    y + GAP - BAR
}

fn text(body: &mut String, x: u32, y: u32, text: &str) {
    writeln!(body, "<text x=\"{x}\" y=\"{y}\">{text}</text>").ok();
}

/// The value of the longest bar.
fn scale(values: &[f64]) -> f64 {
    let largest = values.iter().copied().fold(0.0, f64::max);
    let middle = median(values.iter().copied());
    if middle > 0.0 { largest.min(CUT * middle) } else { largest }
}

/// How long a bar is, and whether it is cut off.
fn length(value: f64, full: f64) -> (f64, bool) {
    if full <= 0.0 {
        return (0.0, false);
    }
    ((value / full).min(1.0) * LONGEST, value > full)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_far_longer_than_the_middle_is_cut_off() {
        let full = scale(&[1.0, 2.0, 3.0, 100.0, 2.5]);
        assert!((full - 10.0).abs() < 1e-9);
        assert_eq!(length(100.0, full), (LONGEST, true));
        assert_eq!(length(5.0, full), (LONGEST / 2.0, false));
        assert_eq!(length(0.0, scale(&[0.0, 0.0])), (0.0, false));
        assert!((scale(&[0.0, 0.0, 4.0]) - 4.0).abs() < 1e-9);
    }
}
