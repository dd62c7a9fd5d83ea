//! Alerts and dashboard: read by their own tools, about metrics that there are, and each with what people need.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::process::Stdio;

use serde_json::{Value, json};

use crate::metrics::{named, registered, source};
use crate::tools::{check, promtool, python, scratch};
use crate::{deployed, read};

const ALERTS: &str = "prometheus/alerts.yaml";
const TESTS: [&str; 2] = ["prometheus/alerts.test.yaml", "prometheus/alerts.week.test.yaml"];
const DASHBOARD: &str = "grafana/bellwire.json";

/// The documents of a YAML text.
pub(crate) fn yaml(text: &str, options: &[&str]) -> Vec<Value> {
    let mut child = python("objects.py").args(options).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "the documents are not as they should be; see above");
    serde_json::from_slice(&output.stdout).unwrap()
}

fn alerts() -> Vec<Value> {
    yaml(&read(ALERTS), &[])[0]["groups"][0]["rules"].as_array().unwrap().clone()
}

fn dashboard() -> Value {
    serde_json::from_str(&read(DASHBOARD)).unwrap()
}

/// All panels that show something.
fn panels() -> Vec<Value> {
    let mut panels = dashboard()["panels"].as_array().unwrap().clone();
    panels.retain(|panel| panel["type"] != "row");
    panels
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

#[test]
fn every_alert_fires_beyond_its_edge_and_not_before() {
    check(promtool().args(["check", "rules"]).arg(deployed(ALERTS)));
    check(promtool().args(["test", "rules"]).args(TESTS.map(deployed)));
    let tests: String = TESTS.map(read).concat();
    for alert in alerts() {
        assert!(tests.contains(&format!("alertname=\"{}\"", text(&alert["alert"]))), "{alert} is not tried");
    }
}

#[test]
fn every_alert_says_how_urgent_it_is_what_it_means_and_what_to_do() {
    let manual = read("README.md");
    for alert in alerts() {
        let (name, severity) = (text(&alert["alert"]), text(&alert["labels"]["severity"]));
        assert!(["critical", "warning"].contains(&severity), "{name}");
        for annotation in ["summary", "description", "action"] {
            assert!(!text(&alert["annotations"][annotation]).is_empty(), "{name} has no {annotation}");
        }
        assert!(manual.contains(&format!("| `{name}` | {severity} |")), "the README does not name {name}");
    }
    assert_eq!(manual.lines().filter(|line| line.starts_with("| `Bellwire")).count(), alerts().len());
}

#[test]
fn alerts_dashboard_and_readme_name_only_metrics_that_there_are() {
    let known: BTreeSet<_> = registered().into_values().flatten().collect();
    for file in [ALERTS, TESTS[0], TESTS[1], DASHBOARD, "README.md"] {
        let text = read(file);
        // People say the name of a histogram without its endings.
        let is_known = |name: &&str| known.contains(*name) || known.contains(&format!("{name}_bucket"));
        let unknown: Vec<_> = named(&text).into_iter().filter(|name| !is_known(name)).collect();
        assert!(unknown.is_empty(), "{file}: {unknown:?}");
    }
}

#[test]
fn the_dashboard_shows_every_metric() {
    let shown = read(DASHBOARD);
    let shown = named(&shown);
    let left_out: Vec<_> =
        registered().into_iter().filter(|(_, names)| !names.iter().any(|name| shown.contains(&name.as_str()))).collect();
    assert!(left_out.is_empty(), "{left_out:?}");
}

#[test]
fn every_reason_that_is_looked_for_is_one_that_the_program_gives() {
    let given = source("server/src/api/faults.rs");
    let texts = [ALERTS, DASHBOARD].map(read).concat().replace("\\\"", "\"");
    let looked_for = texts.split("reason=").skip(1).map(|rest| rest.split('"').nth(1).unwrap());
    for reason in looked_for.flat_map(|reasons| reasons.split('|')) {
        assert!(given.contains(&format!("=> \"{reason}\",")), "{reason}");
    }
}

#[test]
fn every_panel_has_a_unit_and_takes_the_data_source_that_was_chosen() {
    let chosen = json!({"type": "prometheus", "uid": "${datasource}"});
    for panel in panels() {
        let title = text(&panel["title"]);
        assert!(!text(&panel["fieldConfig"]["defaults"]["unit"]).is_empty(), "{title} has no unit");
        assert!(!text(&panel["description"]).is_empty(), "{title} does not say what it shows");
        assert_eq!(panel["datasource"], chosen, "{title}");
        for target in panel["targets"].as_array().unwrap() {
            assert_eq!(target["datasource"], chosen, "{title}");
        }
    }
    let variables = dashboard()["templating"]["list"].as_array().unwrap().clone();
    assert!(variables.iter().any(|variable| variable["name"] == "datasource" && variable["type"] == "datasource"));
}

#[test]
fn every_panel_stands_in_a_place_of_its_own() {
    let (mut ids, mut places) = (BTreeSet::new(), BTreeSet::new());
    for panel in dashboard()["panels"].as_array().unwrap() {
        assert!(ids.insert(panel["id"].as_u64().unwrap()), "{panel}");
        let [x, y, w, h] = ["x", "y", "w", "h"].map(|side| panel["gridPos"][side].as_u64().unwrap());
        assert!(x + w <= 24, "{panel}");
        for place in (x..x + w).flat_map(|x| (y..y + h).map(move |y| (x, y))) {
            assert!(places.insert(place), "{panel} overlaps another");
        }
    }
}

#[test]
fn prometheus_understands_every_query_of_the_dashboard() {
    let queries = panels().into_iter().flat_map(|panel| panel["targets"].as_array().unwrap().clone());
    // As rules, which is what promtool reads, each of another name; Grafana puts the interval in.
    let rule = |(number, query): (usize, Value)| {
        let expression = text(&query["expr"]).replace("$__rate_interval", "5m");
        json!({"record": format!("query:{number}"), "expr": expression})
    };
    let rules: Vec<_> = queries.enumerate().map(rule).collect();
    let file = scratch("dashboard").join("queries.json");
    fs::write(&file, json!({"groups": [{"name": "dashboard", "rules": rules}]}).to_string()).unwrap();
    check(promtool().args(["check", "rules"]).arg(file));
}
