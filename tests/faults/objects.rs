//! Objects as no application would write them: names of the greatest length, labels of certgate's own, flags taken back.

use anyhow::{Context, Result};
use certgate_lab::LabOptions;
use k8s_openapi::api::events::v1::Event;
use kube::{
    Api,
    api::{DeleteParams, ListParams},
};
use serde_json::json;
use tokio::sync::OnceCell;

use super::cluster::{Cluster, SOON, plain};

static CLUSTER: OnceCell<Cluster> = OnceCell::const_new();

async fn cluster() -> Result<&'static Cluster> {
    Cluster::shared(&CLUSTER, LabOptions::default(), "pebble-fast").await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_said_of_an_object_with_the_longest_name_reaches_it() -> Result<()> {
    let team = cluster().await?.team("objects-long").await?;
    let (name, host) = (format!("{}end", "long.".repeat(50)), "long.objects-example.com");
    assert_eq!(name.len(), 253);
    team.create(plain(&name, &[host])).await.context("as long as the API server takes")?;
    team.until_domain(host, "Ready", "False", Some("DomainNotFound")).await?;
    let events: Api<Event> = Api::namespaced(team.client.clone(), &team.name);
    team.lab
        .wait_for("the Event on the Ingress", SOON, async || {
            let all = events.list(&ListParams::default()).await?.items;
            let told = all.into_iter().find(|event| {
                let about = event.regarding.as_ref().and_then(|regarding| regarding.name.as_deref());
                about == Some(&name) && event.reason.as_deref() == Some("DomainNotFound")
            });
            Ok(told.map(|_| ()))
        })
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_label_of_companions_takes_no_ingress_from_certgate() -> Result<()> {
    let team = cluster().await?.team("objects-label").await?;
    let host = "label.objects-example.com";
    team.lab.dns().a(host, team.lab.ip());
    // The webhook is not called for it: the controller does all.
    let mut object = plain("labelled", &[host]);
    object["metadata"]["labels"] = json!({"certgate.dev/companion-of": host});
    team.create(object).await?;
    team.until_injected("labelled", host).await?;
    team.until_certificate(host).await?;
    // Switched off and deleted, it leaves nothing, and no hour is waited for that.
    team.annotate("labelled", json!({"certgate.dev/auto-issue": "false"})).await?;
    team.until_gone(&team.certificates(), &format!("certgate-{host}")).await?;
    team.ingresses().delete("labelled", &DeleteParams::default()).await?;
    team.lab
        .wait_for("the Domain is gone", SOON, async || Ok(team.domains().get_opt(host).await?.is_none().then_some(())))
        .await
}
