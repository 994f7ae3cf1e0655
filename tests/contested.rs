//! Somebody takes back what certgate writes, past its webhook.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test may end by panicking"
)]

#[path = "support/cluster.rs"]
#[allow(dead_code, reason = "each test binary uses its part of it")]
mod cluster;

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use certgate_lab::{LabOptions, certgate as installed};
use cluster::{Cluster, PATIENCE, SOON, Team, plain};
use k8s_openapi::api::events::v1::Event;
use kube::{
    Api,
    api::{DynamicObject, ListParams, Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};

/// For how long what certgate writes is taken back at once.
const CONTEST: Duration = Duration::from_secs(20);

/// How somebody takes things back.
#[derive(Clone, Copy)]
enum By {
    /// It writes its own whole object: what it removes leaves no trace of it.
    Replacing,
    /// It notes on the object that it was at work, as GitOps tools do.
    Patching,
}

/// Takes back what certgate adds to an Ingress, whenever it is there. Returns how often that was.
async fn take_back(team: &Team<'_>, name: &str, manager: &str, by: By, object: &Value) -> Result<usize> {
    let (begun, mut times) = (Instant::now(), 0);
    let api = team.ingresses();
    while begun.elapsed() < CONTEST {
        let seen = api.get(name).await?;
        if seen.data["spec"]["tls"].is_null() {
            tokio::time::sleep(Duration::from_millis(10)).await;
            continue;
        }
        times += 1;
        match by {
            By::Replacing => {
                let params = PostParams { field_manager: Some(manager.to_owned()), ..PostParams::default() };
                let object: DynamicObject = serde_json::from_value(object.clone())?;
                api.replace(name, &params, &object).await?;
            }
            By::Patching => {
                let ours = seen.metadata.annotations.unwrap_or_default().into_keys();
                let mut annotations: serde_json::Map<String, Value> =
                    ours.filter(|key| key.contains("cert")).map(|key| (key, Value::Null)).collect();
                annotations.insert("example.com/synced".to_owned(), json!(times.to_string()));
                let patch = json!({"metadata": {"annotations": annotations}, "spec": {"tls": null}});
                let params = PatchParams { field_manager: Some(manager.to_owned()), ..PatchParams::default() };
                api.patch(name, &params, &Patch::Merge(patch)).await?;
            }
        }
    }
    Ok(times)
}

/// How often the controller has patched an Ingress.
fn patches(team: &Team<'_>, name: &str) -> Result<usize> {
    let account = format!("system:serviceaccount:{}:{}", installed::NAMESPACE, installed::CONTROLLER);
    let events = team.lab.audit_log()?;
    let patched = events.iter().filter(|event| {
        let object = &event["objectRef"];
        event["user"]["username"] == account.as_str()
            && event["verb"] == "patch"
            && object["resource"] == "ingresses"
            && object["name"] == name
            && object["namespace"] == team.name.as_str()
            && event["stage"] == "ResponseComplete"
    });
    Ok(patched.count())
}

async fn told(team: &Team<'_>, name: &str) -> Result<Option<String>> {
    let events: Api<Event> = Api::namespaced(team.client.clone(), &team.name);
    let all = events.list(&ListParams::default().fields("reason=ChangesReverted")).await?;
    let of = all.items.into_iter().find(|event| event.regarding.as_ref().and_then(|r| r.name.as_deref()) == Some(name));
    Ok(of.and_then(|event| event.note))
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_taken_back_is_written_seldom_and_told_with_a_name_and_edits_are_answered_at_once() -> Result<()> {
    let cluster = Cluster::start(LabOptions::default(), "pebble-fast", |_| {}).await?;
    let (lab, app) = (&cluster.lab, &cluster.app);
    let team = Team::new(lab, "contested").await?;
    // With the webhook there, nobody can write an Ingress without what certgate adds.
    for webhook in app.replicas_of(installed::WEBHOOK) {
        app.kill(&webhook)?;
    }
    let cases = [("replaced", "deployer", By::Replacing), ("patched", "argocd-controller", By::Patching)];
    let mut objects = Vec::new();
    for (name, manager, _) in cases {
        let host = format!("{name}.example.com");
        lab.dns().a(&host, lab.ip());
        let object = plain(name, &[&host]);
        let params = PostParams { field_manager: Some(manager.to_owned()), ..PostParams::default() };
        team.ingresses().create(&params, &serde_json::from_value(object.clone())?).await?;
        objects.push(object);
    }
    for (name, ..) in cases {
        team.until_injected(name, &format!("{name}.example.com")).await?;
        team.until_domain(&format!("{name}.example.com"), "Ready", "True", None).await?;
    }

    let before = [patches(&team, "replaced")?, patches(&team, "patched")?];
    let added = AtomicUsize::new(0);
    let user = async {
        // In the midst of it a user adds a host, in an object without what certgate adds.
        tokio::time::sleep(CONTEST / 2).await;
        lab.dns().a("edited.example.com", lab.ip());
        let mut edited = plain("edited", &["edited.example.com"]);
        edited["metadata"]["annotations"] = json!({"by": "hand"});
        team.create(edited).await?;
        team.until_injected("edited", "edited.example.com").await?;
        added.fetch_add(1, Ordering::Relaxed);
        Ok(())
    };
    let ((), replaced, patched) = tokio::try_join!(
        user,
        take_back(&team, "replaced", "deployer", By::Replacing, &objects[0]),
        take_back(&team, "patched", "argocd-controller", By::Patching, &objects[1]),
    )?;
    for ((name, ..), (before, reverts)) in cases.iter().zip(before.into_iter().zip([replaced, patched])) {
        let made = patches(&team, name)? - before;
        measured(&format!("{name}: {made} patches against {reverts} reverts in {CONTEST:?}"));
        ensure!(reverts >= 3, "{name}: it was contested: {reverts}");
        ensure!(made <= 12, "{name}: {made} patches against {reverts} reverts in {CONTEST:?}");
    }

    // Who it is, is told where people look.
    let note = told(&team, "patched").await?.context("an Event of the Ingress")?;
    ensure!(note.contains("by the field manager \"argocd-controller\""), "{note}");
    let note = told(&team, "replaced").await?.context("an Event of the Ingress")?;
    ensure!(note.contains("left no name there, and these write it: deployer"), "{note}");
    let domain = team.domains().get("patched.example.com").await?;
    let status = domain.status.context("a status")?;
    let ready = status.conditions.iter().find(|condition| condition.type_ == "Ready").context("Ready")?;
    ensure!((ready.status.as_str(), ready.reason.as_str()) == ("False", "ChangesReverted"), "{ready:?}");
    ensure!(status.who_acts.as_deref() == Some("app-developer"), "{:?}", status.who_acts);
    let [controller] = app.replicas_of(installed::CONTROLLER).try_into().ok().context("one controller")?;
    let counted = app.metric(&controller, "certgate_controller_reverted_writes_total").await?;
    ensure!(counted >= 2.0, "{counted}");

    // A user's edit of a contested Ingress is something else, and answered at once.
    let edit = Instant::now();
    lab.dns().a("more.example.com", lab.ip());
    team.replace(plain("replaced", &["replaced.example.com", "more.example.com"])).await?;
    team.until_injected("replaced", "more.example.com").await?;
    team.until_injected("replaced", "replaced.example.com").await?;
    measured(&format!("the edit was answered after {:?}", edit.elapsed()));
    ensure!(edit.elapsed() < SOON, "{:?}", edit.elapsed());
    // And once nobody takes it back, it stands, without a second order.
    for (name, ..) in cases {
        let host = format!("{name}.example.com");
        team.until_injected(name, &host).await?;
        ensure!(team.orders(&host)? == 1);
        lab.wait_for(&format!("{host} is well again"), 2 * PATIENCE, async || {
            let status = team.domains().get(&host).await?.status.context("a status")?;
            Ok(status.conditions.iter().any(|c| c.type_ == "Ready" && c.status == "True").then_some(()))
        })
        .await?;
    }
    cluster.lab.stop()
}

/// For whoever runs it with `--nocapture`.
#[allow(clippy::print_stdout, reason = "what was measured")]
fn measured(text: &str) {
    println!("{text}");
}
