//! A comparison as markdown: medians, and our ratios to the others.

use super::results::{Pair, Results, Row, optional};
use super::subject::Kind;

pub(super) fn markdown(results: &Results) -> String {
    let kinds = results.kinds();
    let pairs = results.pairs();
    let mut text = format!(
        "# A comparison\n\nWritten by `bellwire-loadtest compare`; [the README](../README.md) says what each figure is, and how the other \
         servers are set up. Medians; `results.json` has every round. On {}\n\n![The main figures](results.svg)\n",
        results.conditions()
    );
    let mut job = ("", "");
    for row in &results.rows {
        if job.0 != row.workload {
            text += &format!("\n## `{}`\n", row.workload);
        }
        if job != (row.workload, &row.setting) {
            job = (row.workload, &row.setting);
            text += &head(&row.setting, &kinds, &pairs);
        }
        text += &line(row, &kinds, &pairs);
    }
    if !results.failures.is_empty() {
        text += "\n## What failed\n\n";
        results.failures.iter().for_each(|failure| text += &format!("- {failure}\n"));
    }
    text
}

fn head(setting: &str, kinds: &[Kind], pairs: &[Pair]) -> String {
    let names: String = kinds.iter().map(|kind| format!(" {} |", kind.name())).collect();
    let ratios: String = pairs.iter().map(|pair| format!(" {pair} |")).collect();
    format!("\n| {setting} |{names}{ratios}\n|---|{}\n", "---|".repeat(kinds.len() + pairs.len()))
}

fn line(row: &Row, kinds: &[Kind], pairs: &[Pair]) -> String {
    let medians: String = kinds.iter().map(|kind| format!(" {} |", optional(row.median(*kind)))).collect();
    let ratios: String = pairs.iter().map(|pair| format!(" {} |", optional(row.ratio(*pair)))).collect();
    format!("| {} |{medians}{ratios}\n", row.title())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn a_line_has_medians_and_ratios() {
        let rounds = BTreeMap::from([(Kind::Limit, vec![10.0]), (Kind::Bellwire, vec![15.0, 14.0, 16.0])]);
        let row = Row { workload: "unicast", setting: String::new(), figure: "an event", unit: "µs", rounds };
        let kinds = [Kind::Limit, Kind::Bellwire, Kind::Nats];
        assert_eq!(
            line(&row, &kinds, &[Kind::Limit, Kind::Nats].map(|other| Pair { own: Kind::Bellwire, other })),
            "| an event, µs | 10.0 | 15.0 | – | 1.50 | – |\n"
        );
    }
}
