//! `certgate cleanup` in a cluster where certgate was at work: what it added goes, or becomes the users' own.

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

use std::process::{Command, Output};

use anyhow::{Context, Result, ensure};
use certgate_lab::{LabOptions, certgate as installed};
use cluster::{Cluster, PATIENCE, Team, plain, rainbond};
use kube::api::{DeleteParams, DynamicObject, Patch, PatchParams};
use serde_json::{Value, json};

const INLINE: &str = "inline.example.com";
const STAND_IN: &str = "stand-in.example.com";
/// Of Rainbond 5, with plain HTTP kept by a twin.
const KEPT: &str = "kept.example.com";
/// Of Rainbond 6, by its switch.
const SWITCHED: &str = "switched.example.com";
const SWITCHS: &str = "switched.example.comp-ps-s";
const THEIRS: &str = "theirs.example.com";
const TEAM: &str = "cleaned";
const TWIN: &str = "kept-certgate-http";

/// What users see of an Ingress, as stored.
fn visible(object: &DynamicObject) -> Result<Value> {
    let mut object = serde_json::to_value(object)?;
    let metadata = object["metadata"].as_object_mut().context("no metadata")?;
    metadata
        .retain(|key, _| ["name", "namespace", "uid", "labels", "annotations", "creationTimestamp"].contains(&&**key));
    object.as_object_mut().context("no object")?.remove("status");
    Ok(object)
}

/// A cluster with two hosts of certgate's, ordered inline and by a companion, and one of the user's own.
struct Scene {
    cluster: Cluster,
    /// The Ingresses as they were before certgate touched them.
    before: Vec<Value>,
}

impl Scene {
    async fn set() -> Result<Self> {
        let cluster = Cluster::start(LabOptions::default(), "pebble-fast", |policy| {
            policy["rules"] = json!([{"match": {"hosts": [STAND_IN]}, "issuance": "companion"},
                {"match": {"hosts": [KEPT]}, "http": "keep"}]);
            policy["gate"] = json!({"mode": "annotated"});
            policy["rainbond"] = json!({"routes": true});
        })
        .await?;
        let team = Team::new(&cluster.lab, TEAM).await?;
        let mut theirs = plain("theirs", &[THEIRS]);
        theirs["metadata"]["annotations"] = json!({"cert-manager.io/cluster-issuer": "pebble-fast"});
        theirs["spec"]["tls"] = json!([{"hosts": [THEIRS], "secretName": "theirs-tls"}]);
        team.lab.dns().a(THEIRS, team.lab.ip());
        for host in [KEPT, SWITCHED] {
            team.lab.dns().a(host, team.lab.ip());
        }
        team.create(rainbond("kept", KEPT, "/")).await?;
        team.lab
            .apply_value(json!({"apiVersion": "cert-manager.io/v1", "kind": "Certificate",
                "metadata": {"name": SWITCHS, "namespace": TEAM, "labels": {"app_id": "6def"}},
                "spec": {"secretName": SWITCHS, "dnsNames": [SWITCHED],
                    "issuerRef": {"kind": "ClusterIssuer", "name": "pebble-fast"}}}))
            .await?;
        let mut before = Vec::new();
        // Not in DNS yet, so held and as written.
        for object in [plain("inline", &[INLINE]), plain("stand-in", &[STAND_IN]), theirs] {
            before.push(visible(&team.create(object).await?)?);
        }
        for (ingress, host) in [("inline", INLINE), ("stand-in", STAND_IN)] {
            team.until_domain(host, "Verified", "False", Some("DomainNotFound")).await?;
            team.lab.dns().a(host, team.lab.ip());
            team.until_certificate(host).await?;
            team.until_injected(ingress, host).await?;
            team.until_domain(host, "Ready", "True", None).await?;
        }
        team.until_domain(SWITCHED, "Ready", "True", None).await?;
        said(&team).await?.context("certgate has said nothing on the switch's Certificate")?;
        team.until_domain(KEPT, "Ready", "True", None).await?;
        team.lab
            .wait_for("the twin", PATIENCE, async || team.ingresses().get_opt(TWIN).await.map_err(Into::into))
            .await?;
        team.lab
            .wait_for("the user's Certificate is Ready", PATIENCE, async || {
                let certificate = team.certificates().get("theirs-tls").await?;
                let ready =
                    certgate_lab::story::condition(&certificate, "Ready").is_some_and(|c| c["status"] == "True");
                Ok(ready.then_some(()))
            })
            .await?;
        drop(team);
        Ok(Self { cluster, before })
    }

    async fn team(&self) -> Result<Team<'_>> {
        Ok(Team { lab: &self.cluster.lab, client: self.cluster.lab.client().await?, name: TEAM.to_owned() })
    }

    fn clean_up(&self, arguments: &[&str]) -> Result<Output> {
        let mut command = Command::new(cluster::program());
        command.arg("cleanup").arg("--kubeconfig").arg(self.cluster.lab.kubeconfig()).args(arguments);
        Ok(command.output()?)
    }

    /// Ends the controller and waits until its Lease has lapsed.
    async fn without_controller(&self) -> Result<Output> {
        for controller in self.cluster.app.replicas_of(installed::CONTROLLER) {
            self.cluster.app.kill(&controller)?;
        }
        self.cluster
            .lab
            .wait_for("the clean-up no longer refuses", PATIENCE, async || {
                let output = self.clean_up(&["--dry-run"])?;
                Ok((output.status.code() != Some(2)).then_some(output))
            })
            .await
    }

    /// The versions of everything that the clean-up might write.
    async fn versions(&self) -> Result<Vec<(String, Option<String>)>> {
        let team = self.team().await?;
        let mut versions = Vec::new();
        for api in [team.ingresses(), team.certificates()] {
            let list = api.list(&kube::api::ListParams::default()).await?;
            versions.extend(
                list.items.into_iter().map(|o| (o.metadata.name.unwrap_or_default(), o.metadata.resource_version)),
            );
        }
        let domains = team.domains().list(&kube::api::ListParams::default()).await?;
        versions.extend(
            domains.items.into_iter().map(|o| (o.metadata.name.unwrap_or_default(), o.metadata.resource_version)),
        );
        Ok(versions)
    }
}

/// What certgate says on the Certificate of Rainbond 6's switch.
async fn said(team: &Team<'_>) -> Result<Option<Value>> {
    let object = team.certificates().get(SWITCHS).await?;
    Ok(certgate_lab::story::condition(&object, "certgate.dev/Verified").cloned())
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_certgate_added_goes_and_what_users_made_stays() -> Result<()> {
    let scene = Scene::set().await?;
    let refused = scene.clean_up(&[])?;
    let words = text(&refused.stderr);
    ensure!(refused.status.code() == Some(2), "{refused:?}");
    ensure!(words.lines().count() == 1 && words.contains("is running") && words.contains("--replicas=0"), "{words}");

    let dry = scene.without_controller().await?;
    ensure!(dry.status.success(), "{dry:?}");
    let before = scene.versions().await?;
    let dry = scene.clean_up(&["--dry-run"])?;
    ensure!(text(&dry.stdout).lines().all(|line| line.starts_with("would: ")) && !dry.stdout.is_empty(), "{dry:?}");
    ensure!(scene.versions().await? == before, "a dry run changes nothing");
    let team = scene.team().await?;
    let their_version = team.certificates().get("theirs-tls").await?.metadata.resource_version;
    let their_ingress = team.ingresses().get("theirs").await?.metadata.resource_version;

    let done = scene.clean_up(&[])?;
    ensure!(done.status.success(), "{done:?}");
    for before in &scene.before {
        let name = before["metadata"]["name"].as_str().unwrap_or_default();
        let after = visible(&team.ingresses().get(name).await?)?;
        ensure!(after == *before, "{after}\n{before}");
    }
    for host in [INLINE, STAND_IN] {
        team.until_gone(&team.certificates(), &format!("certgate-{host}")).await?;
        ensure!(team.secrets().get_opt(&format!("certgate-{host}")).await?.is_some(), "Secrets stay");
        ensure!(team.domains().get_opt(host).await?.is_none());
        ensure!(team.orders(host)? == 1);
    }
    ensure!(team.ingresses().get_opt("certgate-stand-in.example.com").await?.is_none(), "no companion");
    ensure!(team.ingresses().get_opt(TWIN).await?.is_none(), "no twin");
    ensure!(said(&team).await?.is_none(), "nothing is said of certgate's");
    let switchs = team.certificates().get(SWITCHS).await?;
    ensure!(certgate_lab::story::condition(&switchs, "Ready").is_some_and(|ready| ready["status"] == "True"));
    ensure!(team.certificates().get("theirs-tls").await?.metadata.resource_version == their_version);
    ensure!(team.ingresses().get("theirs").await?.metadata.resource_version == their_ingress);
    // Again is no harm.
    let again = scene.clean_up(&[])?;
    ensure!(again.status.success() && again.stdout.is_empty(), "{again:?}");
    drop(team);
    scene.cluster.lab.stop()
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_that_is_kept_goes_on_renewing_without_certgate() -> Result<()> {
    let scene = Scene::set().await?;
    scene.without_controller().await?;
    let done = scene.clean_up(&["--keep", "tls"])?;
    ensure!(done.status.success(), "{done:?}");
    let team = scene.team().await?;
    let inline = team.ingresses().get("inline").await?;
    let annotations = inline.metadata.annotations.unwrap_or_default();
    ensure!(annotations.keys().all(|key| !key.starts_with("certgate.dev/")), "{annotations:?}");
    for (ingress, host) in [("inline", INLINE), ("stand-in", STAND_IN)] {
        ensure!(team.domains().get_opt(host).await?.is_none());
        ensure!(team.tls(ingress).await? == [(vec![host.to_owned()], format!("certgate-{host}"))]);
        let before = team.until_served(host).await?;
        // What `cmctl renew` does.
        let name = format!("certgate-{host}");
        let due = json!({"status": {"conditions": [{"type": "Issuing", "status": "True", "reason": "ManuallyTriggered",
            "message": "renewal", "lastTransitionTime": "2026-11-24T00:00:00Z"}]}});
        team.certificates().patch_status(&name, &PatchParams::default(), &Patch::Merge(due)).await?;
        team.lab
            .wait_for("a renewed certificate is served", PATIENCE, async || {
                Ok((team.until_served(host).await? != before).then_some(()))
            })
            .await?;
    }
    // Plain HTTP goes with the Ingress that it belongs to.
    ensure!(team.lab.http_get(KEPT).await?.status == 200);
    team.ingresses().delete("kept", &DeleteParams::default()).await?;
    team.until_gone(&team.ingresses(), TWIN).await?;
    drop(team);
    scene.cluster.lab.stop()
}
