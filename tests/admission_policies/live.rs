//! The policies on deny with certgate at work: what it injects they let pass, from the very first write, and the matrix
//! holds with certgate up and down.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use certgate::api::verified_hosts::VerifiedHosts;
use certgate_lab::{Identity, Lab, LabOptions, certgate as installed};
use kube::{
    Api, Client,
    api::{DynamicObject, PostParams},
};
use serde_json::json;

use super::{
    ask::{self, Asker, Who},
    cluster::{PATIENCE, Team, plain, program},
    hold, rows,
};

/// Hosts that turn from held to injected while their Ingresses are written.
const HOSTS: usize = 8;
/// How often each Ingress is written.
const PACE: Duration = Duration::from_millis(15);
/// Rows about a companion that nobody owns, which a running controller takes away, and about hosts that VerifiedHosts was
/// made to name and it does not.
const MADE_UP: [&str; 5] =
    ["a companion changed", "a companion disguised", "a companion deleted", "the private one for it", "a bound Secret"];

/// Writes an Ingress as Rainbond does, over and over, until told to end.
async fn write(client: Client, namespace: &str, name: String, host: String, end: Arc<AtomicBool>) -> Result<usize> {
    let kind = kube::api::ApiResource::from_gvk_with_plural(
        &kube::api::GroupVersionKind::gvk("networking.k8s.io", "v1", "Ingress"),
        "ingresses",
    );
    let api: Api<DynamicObject> = Api::namespaced_with(client, namespace, &kind);
    let mut object = plain(&name, &[&host]);
    object["metadata"]["annotations"] = json!({ "certgate.dev/auto-issue": "true" });
    let object: DynamicObject = serde_json::from_value(object)?;
    api.create(&PostParams::default(), &object).await?;
    let mut pace = tokio::time::interval(PACE);
    for n in 1.. {
        pace.tick().await;
        // All that certgate added is missing from it, so that each write is injected anew.
        api.replace(&name, &PostParams::default(), &object).await.with_context(|| format!("write {n} of {name}"))?;
        if end.load(Ordering::Relaxed) {
            return Ok(n);
        }
    }
    Ok(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_that_certgate_injects_is_refused_and_the_matrix_holds_with_it_up_and_down() -> Result<()> {
    Lab::with(LabOptions::default(), async |lab| {
        lab.dns().set_negative_ttl(1, 1);
        lab.apply_value(ask::all_rights()).await?;
        le(lab).await?;
        let mut policy = installed::policy(lab, "le");
        policy["autoIssue"] = json!("annotated");
        let chart = installed::chart(program(), &policy).values(json!({
            "nameOverride": "certgate-deny",
            "admissionPolicy": {
                "verifiedHosts": "deny", "reservedFields": "deny", "certificates": "deny", "exemptUsers": ["gitops"],
            },
        }));
        let app = installed::install(lab, chart).await?;

        let deny = Team::new(lab, "deny").await?;
        lab.apply_value(rows::in_place("deny")).await?;
        let verified = "ok.example.com";
        lab.dns().a(verified, lab.ip());
        let mut lead = plain("lead", &[verified]);
        lead["metadata"]["annotations"] = json!({ "certgate.dev/auto-issue": "true" });
        deny.create(lead).await?;
        deny.until_injected("lead", verified).await?;

        from_held_to_injected(lab).await?;
        // A namespace in which certgate has nothing to do is held to the rules too.
        lab.namespace("bystander").await?;
        let asker = Asker::new(lab).await?;
        let orders = rows::all().into_iter().find(rows::Row::is_first_of_its_policy).context("a row")?;
        lab.wait_for("an order in a namespace without hosts is refused", PATIENCE, async || {
            Ok((asker.ask(&Who::Tenant, &orders.ask, "bystander").await?.status == 403).then_some(()))
        })
        .await?;

        doctor_agrees(lab).await?;
        matrix(&asker, "up").await?;
        for replica in app.replicas() {
            app.kill(&replica)?;
        }
        matrix(&asker, "down").await
    })
    .await
}

/// The issuer that the rows name.
async fn le(lab: &Lab) -> Result<()> {
    let kind = kube::api::GroupVersionKind::gvk("cert-manager.io", "v1", "ClusterIssuer");
    let kind = kube::api::ApiResource::from_gvk_with_plural(&kind, "clusterissuers");
    let issuers: Api<DynamicObject> = Api::all_with(lab.client().await?, &kind);
    let spec = issuers.get("pebble-fast").await?.data["spec"].clone();
    let made = lab
        .apply_value(json!({"apiVersion": "cert-manager.io/v1", "kind": "ClusterIssuer", "metadata": {"name": "le"},
            "spec": spec}))
        .await?;
    lab.wait_for_condition(made.first().context("an issuer")?, "Ready").await
}

/// Hosts pass their checks while their Ingresses are written all the time: no write is refused.
async fn from_held_to_injected(lab: &Lab) -> Result<()> {
    let team = Team::new(lab, "busy").await?;
    let developer = Identity::User("developer".into(), vec![ask::EVERYBODY.into()]);
    let end = Arc::new(AtomicBool::new(false));
    let mut writers = Vec::new();
    let hosts: Vec<String> = (0..HOSTS).map(|n| format!("busy{n}.example.org")).collect();
    for (n, host) in hosts.iter().enumerate() {
        let (client, host, end) = (lab.client_as(&developer).await?, host.clone(), end.clone());
        writers.push(tokio::spawn(async move { write(client, "busy", format!("busy{n}"), host, end).await }));
    }
    for host in &hosts {
        team.until_domain(host, "Verified", "False", None).await?;
    }
    for (n, host) in hosts.iter().enumerate() {
        lab.dns().a(host, lab.ip());
        team.until_injected(&format!("busy{n}"), host).await?;
    }
    let known: Api<VerifiedHosts> = Api::namespaced(lab.client().await?, "busy");
    let known = known.get("certgate").await?.spec.hosts;
    ensure!(hosts.iter().all(|host| known.contains_key(host)), "{known:?}");
    end.store(true, Ordering::Relaxed);
    let mut written = 0;
    for writer in writers {
        written += writer.await?.context("a write was refused")?;
    }
    ensure!(written > 10 * HOSTS, "{written} writes");
    Ok(())
}

/// Doctor finds nothing amiss with the policies.
async fn doctor_agrees(lab: &Lab) -> Result<()> {
    lab.wait_for("doctor is content with the policies", PATIENCE, async || {
        let run = tokio::process::Command::new(program())
            .args(["doctor", "--name", "certgate-deny", "--output", "json", "--kubeconfig"])
            .arg(lab.kubeconfig())
            .output();
        let said: serde_json::Value = serde_json::from_slice(&run.await?.stdout)?;
        let findings = said["findings"].as_array().context("no findings")?;
        let policies: Vec<_> = findings.iter().filter(|finding| finding["check"] == "admission-policies").collect();
        ensure!(policies.len() == 1 && policies[0]["level"] == "ok", "{policies:?}");
        ensure!(policies[0]["what"].as_str().is_some_and(|what| what.contains("verified-hosts (Deny")), "{policies:?}");
        Ok(Some(()))
    })
    .await
}

async fn matrix(asker: &Asker, state: &str) -> Result<()> {
    let rows: Vec<_> = rows::all().into_iter().filter(|row| !MADE_UP.contains(&row.what)).collect();
    ensure!(rows.len() >= 40, "{} rows", rows.len());
    let mut wrong: Vec<String> = Vec::new();
    for row in &rows {
        if let Err(why) = hold(row, "deny", asker).await? {
            wrong.push(format!("{}: {why}", row.what));
        }
    }
    ensure!(wrong.is_empty(), "with certgate {state}, {} wrong:\n{}", wrong.len(), wrong.join("\n"));
    Ok(())
}
