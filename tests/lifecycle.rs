//! Upgrade, rollback and uninstall while Ingresses are written all the time: no write is refused, and nothing is lost.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that cannot go on fails"
)]

#[path = "support/cluster.rs"]
#[allow(dead_code, reason = "each test binary uses its part of it")]
mod cluster;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use certgate_lab::{Lab, LabOptions, certgate as installed};
use cluster::{Team, plain, program};
use k8s_openapi::{
    api::admissionregistration::v1::MutatingWebhookConfiguration,
    apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition,
};
use kube::{
    Api,
    api::{DynamicObject, PostParams},
};
use serde_json::{Value, json};
use tokio::task::JoinHandle;

/// At least so many writes must have been made while certgate changed.
const WRITES: usize = 500;
/// How many Ingresses they are of.
const NAMES: usize = 40;
/// How often one is made.
const PACE: Duration = Duration::from_millis(20);
const WITHIN: Duration = Duration::from_secs(60);

/// Writes Ingresses until it is told to end: creates one, replaces it as Rainbond does, and again.
struct Writer {
    end: Arc<AtomicBool>,
    made: Arc<AtomicUsize>,
    task: JoinHandle<Result<()>>,
}

impl Writer {
    fn start(ingresses: Api<DynamicObject>) -> Self {
        let (end, made) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let (ending, counting) = (end.clone(), made.clone());
        let task = tokio::spawn(async move {
            // Enough to be under way at every moment, and no more: the machine has other things to do.
            let mut pace = tokio::time::interval(PACE);
            for n in 0.. {
                pace.tick().await;
                let name = format!("writes{}", (n / 5) % NAMES);
                let host = format!("{name}.lifecycle-example.com");
                let object: DynamicObject = serde_json::from_value(plain(&name, &[&host]))?;
                let written = match n % 5 {
                    0 if n / 5 < NAMES => ingresses.create(&PostParams::default(), &object).await,
                    _ => ingresses.replace(&name, &PostParams::default(), &object).await,
                };
                written.with_context(|| format!("write {n}, {name}"))?;
                counting.fetch_add(1, Ordering::Relaxed);
                if ending.load(Ordering::Relaxed) && n + 1 >= WRITES {
                    break;
                }
            }
            Ok(())
        });
        Self { end, made, task }
    }

    async fn end(self) -> Result<usize> {
        self.end.store(true, Ordering::Relaxed);
        self.task.await?.context("a write was refused")?;
        Ok(self.made.load(Ordering::Relaxed))
    }
}

/// The caBundle of the one webhook.
async fn published(lab: &Lab) -> Result<Option<Vec<u8>>> {
    let api: Api<MutatingWebhookConfiguration> = Api::all(lab.client().await?);
    let Some(configuration) = api.get_opt(installed::RELEASE).await? else { return Ok(None) };
    let webhook = configuration.webhooks.into_iter().flatten().next().context("a webhook")?;
    Ok(webhook.client_config.ca_bundle.map(|bundle| bundle.0))
}

#[tokio::test(flavor = "multi_thread")]
async fn no_write_is_refused_and_nothing_is_lost_while_certgate_comes_changes_and_goes() -> Result<()> {
    Lab::with(LabOptions { audit_log: true, ..LabOptions::default() }, async |lab| {
        lab.dns().set_negative_ttl(1, 1);
        let team = Team::new(lab, "team").await?;
        let writer = Writer::start(team.ingresses());
        let policy = installed::policy(lab, "pebble-fast");
        let chart = || installed::chart(program(), &policy).set("webhook.graceSeconds=1");

        // Installed amid writes; a host is served.
        let app = installed::install(lab, chart()).await?;
        let host = "shop.lifecycle-example.com";
        lab.dns().a(host, lab.ip());
        team.create(plain("shop", &[host])).await?;
        team.until_domain(host, "Ready", "True", None).await?;
        let serial = team.until_served(host).await?;
        let before = published(lab).await?.context("a caBundle")?;

        // Upgraded: other replicas, other flags, policies of the API server.
        let upgraded = chart()
            .set("webhook.replicas=3")
            .set("log.format=text")
            .set("webhook.timeoutSeconds=1")
            .set("admissionPolicy.verifiedHosts=warn");
        app.upgrade(upgraded).await?;
        app.wait_ready(WITHIN).await?;
        ensure!(app.replicas_of(installed::WEBHOOK).len() == 3, "{:?}", app.replicas());
        ensure!(published(lab).await? == Some(before.clone()), "helm took the caBundle away");

        // And back.
        app.upgrade(chart()).await?;
        app.wait_ready(WITHIN).await?;
        ensure!(app.replicas_of(installed::WEBHOOK).len() == 2, "{:?}", app.replicas());
        ensure!(published(lab).await? == Some(before), "helm took the caBundle away");

        // Uninstalled: certgate goes, and leaves what it made.
        let stands = team.ingresses().get("shop").await?;
        app.uninstall().await?;
        ensure!(published(lab).await?.is_none(), "the webhook configuration is left");
        let written = writer.end().await?;
        ensure!(written >= WRITES, "{written} writes");

        let definitions: Api<CustomResourceDefinition> = Api::all(lab.client().await?);
        definitions.get("domains.certgate.dev").await.context("the definitions went")?;
        team.domains().get(host).await.context("the Domain went")?;
        let left = team.ingresses().get("shop").await?;
        ensure!(parts(&left) == parts(&stands), "the Ingress was changed: {left:?}");
        team.certificates().get(&format!("certgate-{host}")).await.context("the Certificate went")?;
        ensure!(team.until_served(host).await? == serial, "another certificate");
        ensure!(team.orders(host)? == 1, "{} orders", team.orders(host)?);

        // And it comes again over what it left.
        let app = installed::install(lab, chart()).await?;
        team.until_domain(host, "Ready", "True", None).await?;
        ensure!(team.orders(host)? == 1, "{} orders", team.orders(host)?);
        app.uninstall().await
    })
    .await
}

fn parts(object: &DynamicObject) -> Value {
    json!({ "annotations": object.metadata.annotations, "spec": object.data["spec"] })
}
