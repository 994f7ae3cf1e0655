//! The alerts: of metrics that exist, about reasons that exist, and documented.

use std::{collections::BTreeSet, fs, path::Path};

use certgate::core::reason::{Action, Reason, WhoActs};
use certgate_lab::prometheus::{self, Text};

use super::{helm, render};

/// Each alert's name and expression.
fn alerts() -> Vec<(String, String)> {
    let objects = render(&["--set", "monitoring.prometheusRule.enabled=true"]);
    let rules = &helm::find(&objects, "PrometheusRule", "certgate")["spec"]["groups"][0]["rules"];
    let text = |rule: &serde_json::Value, field: &str| rule[field].as_str().unwrap().to_owned();
    rules.as_array().unwrap().iter().map(|rule| (text(rule, "alert"), text(rule, "expr"))).collect()
}

/// All text of the sources.
fn sources() -> String {
    let mut text = String::new();
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                text.push_str(&fs::read_to_string(path).unwrap());
            }
        }
    }
    text
}

/// Asserts that every metric of an expression is registered somewhere.
fn assert_metrics_exist(sources: &str, what: &str, expression: &str) {
    let names: BTreeSet<&str> = expression
        .split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
        .filter(|word| word.starts_with("certgate_"))
        .collect();
    assert!(!names.is_empty(), "{what}");
    for name in names {
        // What the exposition format adds.
        let bare = ["_total", "_bucket"].iter().fold(name, |name, end| name.strip_suffix(end).unwrap_or(name));
        // The registries of controller, DNS and policy put their prefix in front.
        let within = ["certgate_controller_", "certgate_dns_", "certgate_policy_"]
            .iter()
            .find_map(|prefix| bare.strip_prefix(prefix));
        let known = [Some(bare), within]
            .into_iter()
            .flatten()
            .flat_map(|name| [name, name.trim_end_matches("_seconds")])
            .any(|name| sources.contains(&format!("\"{name}\"")));
        assert!(known, "{what}: no metric {name} is registered");
    }
}

#[test]
fn every_alert_is_of_a_metric_that_is_registered() {
    let sources = sources();
    for (alert, expression) in alerts() {
        assert_metrics_exist(&sources, &alert, &expression);
    }
}

#[test]
fn prometheus_reads_the_rules_and_the_dashboards_queries() {
    let objects =
        render(&["--set", "monitoring.prometheusRule.enabled=true", "--set", "monitoring.dashboard.enabled=true"]);
    let rules = &helm::find(&objects, "PrometheusRule", "certgate")["spec"];
    let read = prometheus::check(Text::Rules, &rules.to_string()).unwrap();
    assert_eq!(read.trim(), format!("certgate {}", alerts().len()));
    let map = helm::find(&objects, "ConfigMap", "certgate-dashboard");
    let dashboard: serde_json::Value = serde_json::from_str(map["data"]["certgate.json"].as_str().unwrap()).unwrap();
    let queries: Vec<String> = dashboard["panels"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|panel| panel["targets"].as_array().unwrap())
        // What Grafana puts in.
        .map(|target| target["expr"].as_str().unwrap().replace("$__rate_interval", "5m").replace("$__range", "1h"))
        .collect();
    assert!(queries.len() > 10);
    prometheus::check(Text::Queries, &queries.join("\n")).unwrap();
    assert!(prometheus::check(Text::Queries, "sum(certgate_controller_hosts").is_err());
}

#[test]
fn the_dashboard_is_off_until_asked_for_and_shows_metrics_that_are_registered() {
    let is_it = |object: &&serde_json::Value| object["metadata"]["name"] == "certgate-dashboard";
    assert!(!render(&[]).iter().any(|object| is_it(&object)));
    let objects = render(&["--set", "monitoring.dashboard.enabled=true"]);
    let map = objects.iter().find(is_it).unwrap();
    assert_eq!(map["metadata"]["labels"]["grafana_dashboard"], "1");
    let dashboard: serde_json::Value = serde_json::from_str(map["data"]["certgate.json"].as_str().unwrap()).unwrap();
    let sources = sources();
    let panels = dashboard["panels"].as_array().unwrap();
    assert!(panels.len() > 10);
    for panel in panels {
        for target in panel["targets"].as_array().unwrap() {
            assert_metrics_exist(&sources, panel["title"].as_str().unwrap(), target["expr"].as_str().unwrap());
        }
    }
}

#[test]
fn the_administrator_hears_of_every_reason_to_act() {
    let alerts = alerts();
    let (_, expression) = alerts.iter().find(|(alert, _)| alert == "CertgateHostsWaitForAdmin").unwrap();
    let listed = expression.split("reason=~\"").nth(1).unwrap().split('"').next().unwrap();
    let listed: BTreeSet<&str> = listed.split('|').collect();
    // HTTP reach is in question only where policy asks for it, and is as often the domain's.
    let expected: BTreeSet<&str> = Reason::ALL
        .iter()
        .filter(|reason| reason.who_acts() == WhoActs::ClusterAdmin && reason.action() != Action::Skip)
        .filter(|reason| !reason.as_str().starts_with("Http"))
        // It is about an object and not about a host, and has an alert of its own.
        .filter(|reason| **reason != Reason::ObjectUnreadable)
        .map(|reason| reason.as_str())
        .collect();
    assert_eq!(listed, expected);
    assert!(alerts.iter().any(|(alert, _)| alert == "CertgateObjectsUnreadable"));
}

#[test]
fn every_alert_is_documented() {
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/operations.md")).unwrap();
    for (alert, _) in alerts() {
        assert!(page.contains(&format!("`{alert}`")), "docs/operations.md says nothing of {alert}");
    }
}
