//! The manifests, as Kubernetes would get them.

use std::sync::LazyLock;

use serde_json::{Value, json};

use crate::monitoring::yaml;
use crate::tools::{check, kubectl};
use crate::{deployed, read, seconds};

/// What a folder makes, each object as its schema says.
fn objects(folder: &str) -> Vec<Value> {
    yaml(&check(kubectl().arg("kustomize").arg(deployed("kubernetes").join(folder))), &["--check"])
}

/// The one object of this kind that the base makes.
fn object(kind: &str) -> &'static Value {
    static BASE: LazyLock<Vec<Value>> = LazyLock::new(|| objects("base"));
    BASE.iter().find(|object| object["kind"] == kind).unwrap()
}

#[test]
fn every_object_is_as_its_schema_says() {
    let kinds =
        |folder| -> Vec<_> { objects(folder).into_iter().map(|object| object["kind"].as_str().unwrap().to_owned()).collect() };
    let base = kinds("base");
    for kind in ["StatefulSet", "Service", "PodDisruptionBudget", "NetworkPolicy"] {
        assert!(base.iter().any(|other| other == kind), "{kind}");
    }
    let example = kinds("example");
    for kind in ["Namespace", "ConfigMap", "ServiceMonitor"] {
        assert!(example.iter().any(|other| other == kind), "{kind}");
    }
}

#[test]
fn the_alerts_are_a_rule_of_the_prometheus_operator() {
    // As the README makes it.
    let indented: String = read("prometheus/alerts.yaml").lines().map(|line| format!("  {line}\n")).collect();
    let head = "apiVersion: monitoring.coreos.com/v1\nkind: PrometheusRule\nmetadata: {name: bellwire}\nspec:\n";
    yaml(&format!("{head}{indented}"), &["--check"]);
}

#[test]
fn there_is_one_node_and_nothing_but_people_moves_it() {
    assert_eq!(object("StatefulSet")["spec"]["replicas"], 1);
    assert_eq!(object("PodDisruptionBudget")["spec"]["maxUnavailable"], 0);
}

#[test]
fn kubernetes_waits_until_a_shutdown_has_ended() {
    let pod = &object("StatefulSet")["spec"]["template"]["spec"];
    assert!(pod["terminationGracePeriodSeconds"].as_u64().unwrap() > seconds("grace"));
}

#[test]
fn the_pod_keeps_to_the_restricted_profile() {
    let pod = &object("StatefulSet")["spec"]["template"]["spec"];
    let (all, container) = (&pod["securityContext"], &pod["containers"][0]["securityContext"]);
    assert_eq!(all["runAsNonRoot"], true);
    assert_eq!(all["seccompProfile"]["type"], "RuntimeDefault");
    let restricted =
        json!({"allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true, "capabilities": {"drop": ["ALL"]}});
    assert_eq!(container, &restricted);
    let allowed = ["configMap", "emptyDir", "projected", "secret", "persistentVolumeClaim"];
    for volume in pod["volumes"].as_array().unwrap() {
        assert!(allowed.iter().any(|kind| volume.get(kind).is_some()), "{volume}");
    }
}

#[test]
fn only_monitoring_reaches_the_operators_listener() {
    let policy = object("NetworkPolicy");
    let open = policy["spec"]["ingress"].as_array().unwrap();
    let to_operators: Vec<_> = open
        .iter()
        .filter(|rule| rule["ports"].as_array().is_none_or(|ports| ports.iter().any(|port| port["port"] == "ops")))
        .collect();
    let monitoring = json!([{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}]);
    assert_eq!(to_operators.len(), 1);
    assert_eq!(to_operators[0]["from"], monitoring);
}

#[test]
fn every_setting_in_the_environment_is_one_that_the_program_knows() {
    let defaults = read("bellwire.default.toml");
    for variable in object("StatefulSet")["spec"]["template"]["spec"]["containers"][0]["env"].as_array().unwrap() {
        let name = variable["name"].as_str().unwrap();
        let (section, key) = name.strip_prefix("BELLWIRE_").unwrap().split_once("__").unwrap();
        let after = defaults.split_once(&format!("\n[{}]\n", section.to_lowercase())).unwrap().1;
        let section = after.split("\n[").next().unwrap();
        assert!(section.lines().any(|line| line.starts_with(&format!("{} = ", key.to_lowercase()))), "{name}");
    }
}
