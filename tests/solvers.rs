//! What answers ACME challenges bears the label that Rainbond 5's gateway asks for, where that gateway serves, and no other.

#[path = "support/cluster.rs"]
#[allow(dead_code, unreachable_pub, reason = "each test binary uses its part of it")]
mod cluster;

use anyhow::{Result, ensure};
use certgate_lab::LabOptions;
use cluster::{Cluster, Team, plain, rainbond};
use serde_json::{Value, json};

const SOLVER: &str = "acme.cert-manager.io/http01-solver";

/// The labels of the solvers that cert-manager made in a namespace, as the API server stored them.
fn solvers(team: &Team<'_>, resource: &str) -> Result<Vec<Value>> {
    let log = team.lab.audit_log()?;
    let created = log.into_iter().filter(|event| {
        event["verb"] == "create"
            && event["stage"] == "ResponseComplete"
            && event["objectRef"]["resource"] == resource
            && event["objectRef"]["namespace"] == team.name.as_str()
    });
    let labels = created.map(|mut event| event["responseObject"]["metadata"]["labels"].take());
    Ok(labels.filter(|labels| labels.get(SOLVER).is_some()).collect())
}

#[tokio::test(flavor = "multi_thread")]
async fn solvers_are_labelled_for_rainbonds_gateway_and_for_no_other() -> Result<()> {
    let cluster = Cluster::install(
        LabOptions::default(),
        "pebble-fast",
        |_| {},
        |chart| chart.values(json!({"webhook": {"solverServices": true}})),
    )
    .await?;
    let five = Team::new(&cluster.lab, "five").await?;
    let other = Team::new(&cluster.lab, "other").await?;
    for (team, host, object) in [
        (&five, "five.example.com", rainbond("rule", "five.example.com", "/")),
        (&other, "other.example.com", plain("web", &["other.example.com"])),
    ] {
        team.lab.dns().a(host, team.lab.ip());
        team.create(object).await?;
        team.until_certificate(host).await?;
    }
    for resource in ["services", "ingresses"] {
        let labelled = solvers(&five, resource)?;
        ensure!(!labelled.is_empty(), "cert-manager made solver {resource}");
        for labels in labelled {
            ensure!(labels["creator"] == "Rainbond", "{resource}: {labels}");
            let theirs = ["service_id", "creater_id", "app_id"].iter().find(|label| labels.get(**label).is_some());
            ensure!(theirs.is_none(), "{resource}: {labels}");
        }
        let plain = solvers(&other, resource)?;
        ensure!(
            !plain.is_empty() && plain.iter().all(|labels| labels.get("creator").is_none()),
            "{resource}: {plain:?}"
        );
    }
    cluster.lab.stop()
}
