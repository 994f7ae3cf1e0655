//! A webhook that hears nothing of the API server, but is asked by it.

use anyhow::{Result, ensure};
use certgate_lab::{ApiLink, LabOptions, certgate as installed};
use serde_json::json;

use crate::{
    cluster::{Cluster, PATIENCE, Team, plain},
    page,
};

#[tokio::test(flavor = "multi_thread")]
async fn answers_go_on_from_memory_and_how_old_it_is_is_told() -> Result<()> {
    let cluster = Cluster::install(
        LabOptions::default(),
        "pebble-fast",
        |_| {},
        |chart| chart.values(json!({"webhook": {"replicas": 1}})).linked(),
    )
    .await?;
    let (lab, app) = (&cluster.lab, &cluster.app);
    let team = Team::new(lab, "remembered").await?;
    let host = "remembered.example.com";
    lab.dns().a(host, lab.ip());
    team.create(plain("web", &[host])).await?;
    team.until_certificate(host).await?;
    let [webhook] = app.replicas_of(installed::WEBHOOK).try_into().ok().unwrap_or_default();
    let injects = async || {
        let stored = team.replace(plain("web", &[host])).await?;
        ensure!(!stored.data["spec"]["tls"].is_null(), "the webhook does not inject");
        Ok(())
    };
    injects().await?;

    // The controller's way stays open, but it is not to be what injects.
    for controller in app.replicas_of(installed::CONTROLLER) {
        app.kill(&controller)?;
    }
    app.link(&webhook, ApiLink::silence)?;
    let stale = async || page(app.address(&webhook)?, "/readyz").await;
    for kind in ["Domain", "Namespace"] {
        lab.wait_for(&format!("it says that it does not hear of {kind} objects"), PATIENCE, async || {
            injects().await?;
            Ok(stale().await?.contains(&format!("stale: {kind} objects cannot be watched")).then_some(()))
        })
        .await?;
    }
    let said = stale().await?;
    ensure!(said.starts_with("HTTP/1.1 200"), "it goes on answering, so it is ready: {said}");
    let age = said.split("cannot be watched for ").nth(1).and_then(|rest| rest.split(' ').next()).unwrap_or_default();
    ensure!(age.parse::<u64>()? >= 30, "what is known is as old as the silence, not as its being noticed: {said}");
    let failing = app.metric(&webhook, "certgate_index_watch_failing_seconds").await?;
    ensure!(failing > 0.0, "the metric says so too: {failing}");

    app.link(&webhook, ApiLink::resume_anew)?;
    lab.wait_for("it hears of everything again", PATIENCE, async || {
        Ok((!stale().await?.contains("stale")).then_some(()))
    })
    .await?;
    injects().await?;
    cluster.lab.stop()
}
