//! The alerts: of metrics that exist, about reasons that exist, and documented.

use std::{collections::BTreeSet, fs, path::Path};

use certgate::core::reason::{Action, Reason, WhoActs};

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

#[test]
fn every_alert_is_of_a_metric_that_is_registered() {
    let sources = sources();
    for (alert, expression) in alerts() {
        let names: BTreeSet<&str> = expression
            .split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
            .filter(|word| word.starts_with("certgate_"))
            .collect();
        assert!(!names.is_empty(), "{alert}");
        for name in names {
            // What the exposition format adds.
            let bare = ["_total", "_bucket"].iter().fold(name, |name, end| name.strip_suffix(end).unwrap_or(name));
            let known = [bare, bare.trim_end_matches("_seconds"), bare.trim_start_matches("certgate_controller_")]
                .into_iter()
                .chain([bare.trim_start_matches("certgate_controller_").trim_end_matches("_seconds")])
                .any(|name| sources.contains(&format!("\"{name}\"")));
            assert!(known, "{alert}: no metric {name} is registered");
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
        .map(|reason| reason.as_str())
        .collect();
    assert_eq!(listed, expected);
}

#[test]
fn every_alert_is_documented() {
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/operations.md")).unwrap();
    for (alert, _) in alerts() {
        assert!(page.contains(&format!("`{alert}`")), "docs/operations.md says nothing of {alert}");
    }
}
