//! What Rainbond 5's gateway needs, on a real cluster: labels on what answers challenges, and twins that keep HTTP open.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test may end by panicking"
)]

#[path = "support/cluster.rs"]
#[allow(dead_code, unreachable_pub, reason = "each test binary uses its part of it")]
mod cluster;

use anyhow::{Result, ensure};
use certgate_lab::LabOptions;
use cluster::{Cluster, PATIENCE, SOON, Team, plain, rainbond};
use kube::api::{DeleteParams, Patch, PatchParams};
use serde_json::{Value, json};
use tokio::sync::OnceCell;

const SOLVER: &str = "acme.cert-manager.io/http01-solver";
const KEPT: &str = "kept.example.com";
const TWIN: &str = "rule-certgate-http";

static CLUSTER: OnceCell<Cluster> = OnceCell::const_new();

async fn cluster() -> Result<&'static Cluster> {
    let install = || {
        Cluster::install(
            LabOptions::default(),
            "pebble-fast",
            |policy| policy["rules"] = json!([{"match": {"hosts": [KEPT]}, "http": "keep"}]),
            |chart| chart.values(json!({"webhook": {"solverServices": true}})),
        )
    };
    CLUSTER.get_or_try_init(install).await
}

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
    let cluster = cluster().await?;
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
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn kept_http_has_a_twin_in_step_with_the_rule_that_goes_with_the_flag() -> Result<()> {
    let team = cluster().await?.team("kept").await?;
    team.lab.dns().a(KEPT, team.lab.ip());
    team.create(rainbond("rule", KEPT, "/")).await?;
    team.until_certificate(KEPT).await?;
    team.until_served(KEPT).await?;
    let in_step = async |what: &str| {
        team.lab
            .wait_for(what, SOON, async || {
                let rule = team.ingresses().get("rule").await?;
                let twin = team.ingresses().get_opt(TWIN).await?;
                Ok(twin.filter(|twin| twin.data["spec"]["rules"] == rule.data["spec"]["rules"]))
            })
            .await
    };
    let twin = in_step("a twin").await?;
    ensure!(twin.data["spec"]["tls"].is_null(), "{:?}", twin.data);
    let labels = twin.metadata.labels.unwrap_or_default();
    ensure!(labels.get("creator").is_some_and(|value| value == "Rainbond") && !labels.contains_key("service_id"));
    let owners = twin.metadata.owner_references.unwrap_or_default();
    ensure!(owners.iter().any(|owner| owner.kind == "Domain" && owner.name == KEPT), "{owners:?}");
    let rule = team.ingresses().get("rule").await?;
    let redirect = "nginx.ingress.kubernetes.io/force-ssl-redirect";
    ensure!(!rule.metadata.annotations.unwrap_or_default().contains_key(redirect));
    ensure!(team.lab.http_get(KEPT).await?.status == 200);

    team.replace(rainbond("rule", KEPT, "/new")).await?;
    in_step("the twin follows an edit").await?;
    team.ingresses().delete(TWIN, &DeleteParams::default()).await?;
    in_step("the twin comes back").await?;
    ensure!(team.orders(KEPT)? == 1, "the twin orders nothing");
    team.annotate("rule", json!({"certgate.dev/auto-issue": "false"})).await?;
    team.until_gone(&team.ingresses(), TWIN).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renewed_secret_is_brought_to_the_gateway_by_a_write_to_the_companion_alone() -> Result<()> {
    let team = cluster().await?.team("renewed").await?;
    let host = "renewed.example.com";
    let secret = "certgate-renewed.example.com";
    team.lab.dns().a(host, team.lab.ip());
    team.create(rainbond("rule", host, "/")).await?;
    team.until_certificate(host).await?;
    let until_nudged = async || {
        team.lab
            .wait_for("the companion names the Secret's version", SOON, async || {
                let version = team.secrets().get(secret).await?.metadata.resource_version;
                let companion = team.ingresses().get_opt(secret).await?;
                let nudge = companion.and_then(|c| c.metadata.annotations?.remove("certgate.dev/nudge"));
                Ok(nudge.filter(|nudge| Some(nudge) == version.as_ref()))
            })
            .await
    };
    team.until_domain(host, "Ready", "True", None).await?;
    let first = until_nudged().await?;
    let before = team.ingresses().get("rule").await?.metadata.resource_version;
    let serial = team.until_served(host).await?;
    // What `cmctl renew` does.
    let due = json!({"status": {"conditions": [{"type": "Issuing", "status": "True", "reason": "ManuallyTriggered",
        "message": "renewal", "lastTransitionTime": "2026-11-24T00:00:00Z"}]}});
    team.certificates().patch_status(secret, &PatchParams::default(), &Patch::Merge(due)).await?;
    team.lab
        .wait_for("a renewed certificate is served", PATIENCE, async || {
            Ok((team.until_served(host).await? != serial).then_some(()))
        })
        .await?;
    ensure!(until_nudged().await? != first);
    ensure!(team.ingresses().get("rule").await?.metadata.resource_version == before, "Rainbond's own is left alone");
    Ok(())
}
