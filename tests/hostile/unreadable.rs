//! Objects that the API server keeps and certgate cannot read, or hardly: each costs itself and nothing else.

use std::{collections::BTreeMap, time::Duration};

use anyhow::{Context as _, Result, ensure};
use certgate_lab::{LabOptions, certgate as installed};
use k8s_openapi::{
    api::events::v1::Event, apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition,
};
use kube::{
    Api, Client,
    api::{Patch, PatchParams},
};
use serde_json::{Value, json};

use crate::cluster::{Cluster, PATIENCE, SOON, Team, plain, program};

const READY: Duration = Duration::from_secs(90);
/// The last time that RFC 3339 can write, and RFC 5280's "no end".
const NO_END: &str = "9999-12-31T23:59:59Z";

/// Reads and writes JSON as it is: what is looked at here kube's own types cannot hold.
async fn ask(client: &Client, method: &str, path: &str, body: Option<Value>) -> Result<Value> {
    let kind = if method == "PATCH" { "application/merge-patch+json" } else { "application/json" };
    let body = body.map_or_else(Vec::new, |body| body.to_string().into_bytes());
    let request = http::Request::builder().method(method).uri(path).header("content-type", kind).body(body)?;
    Ok(serde_json::from_str(&client.request_text(request).await?)?)
}

fn path(group: &str, namespace: &str, plural: &str, name: &str) -> String {
    format!("/apis/{group}/namespaces/{namespace}/{plural}/{name}")
}

/// Has the API server keep whatever a part of our objects says, as the definition of another version might.
async fn loosen(client: &Client, definition: &str, part: &str) -> Result<()> {
    let api: Api<CustomResourceDefinition> = Api::all(client.clone());
    let whatever = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
    let path = format!("/spec/versions/0/schema/openAPIV3Schema/properties/{part}");
    let patch: json_patch::Patch = serde_json::from_value(json!([{"op": "replace", "path": path, "value": whatever}]))?;
    api.patch(definition, &PatchParams::default(), &Patch::Json::<()>(patch)).await?;
    Ok(())
}

async fn doctor(team: &Team<'_>) -> Result<Vec<Value>> {
    let run = tokio::process::Command::new(program())
        .args(["doctor", "--namespace", installed::NAMESPACE, "--output", "json", "--kubeconfig"])
        .arg(team.lab.kubeconfig())
        .output();
    let output = run.await?;
    let said: Value =
        serde_json::from_slice(&output.stdout).with_context(|| String::from_utf8_lossy(&output.stderr).into_owned())?;
    Ok(said["findings"].as_array().context("no findings")?.clone())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_that_cannot_be_read_costs_itself_and_takes_nothing_away() -> Result<()> {
    let cluster = Cluster::start(LabOptions::default(), "pebble-fast", |_| {}).await?;
    let (odd, good) = (Team::new(&cluster.lab, "odd").await?, Team::new(&cluster.lab, "good").await?);
    let client = odd.client.clone();
    let (host, later) = ("odd.example.com", "good.example.com");
    odd.lab.dns().a(host, odd.lab.ip());
    odd.lab.dns().a(later, odd.lab.ip());
    odd.create(plain("web", &[host])).await?;
    odd.until_injected("web", host).await?;
    odd.until_certificate(host).await?;
    let before = odd.until_domain(host, "Ready", "True", None).await?;

    // A tenant gives its Ingress a time that kube's types cannot hold. The API server keeps it.
    let ingress = path("networking.k8s.io/v1", "odd", "ingresses", "web");
    let mut web = ask(&client, "GET", &ingress, None).await?;
    web["metadata"]["managedFields"] = json!([{"manager": "odd", "operation": "Update", "apiVersion": "networking.k8s.io/v1",
        "time": NO_END, "fieldsType": "FieldsV1", "fieldsV1": {"f:metadata": {}}}]);
    let kept = ask(&client, "PUT", &ingress, Some(web)).await?;
    let times: Vec<&Value> =
        kept["metadata"]["managedFields"].as_array().context("none")?.iter().map(|f| &f["time"]).collect();
    ensure!(times.iter().any(|time| **time == NO_END), "it is kept: {times:?}");
    ensure!(odd.ingresses().get("web").await.is_err(), "kube's own types cannot read it");

    // A Certificate that never ends.
    let certificates = "cert-manager.io/v1";
    let forever = json!({"apiVersion": certificates, "kind": "Certificate", "metadata": {"name": "forever", "namespace": "odd"},
        "spec": {"secretName": "forever", "dnsNames": ["forever.example.com"], "issuerRef": {"name": "nobody", "group": "issuers.example.com", "kind": "Nobody"}}});
    odd.lab.apply_value(forever).await?;
    let status = path(certificates, "odd", "certificates", "forever/status");
    ask(&client, "PATCH", &status, Some(json!({"status": {"notAfter": NO_END}}))).await?;

    // Ours, by the hand of another version: fields and words that this one does not know, and types that it does not.
    for (definition, part) in [("domains.certgate.dev", "status"), ("verifiedhosts.certgate.dev", "spec")] {
        loosen(&client, definition, part).await?;
    }
    let domain = path("certgate.dev/v1alpha1", "odd", "domains", host);
    let verified = path("certgate.dev/v1alpha1", "odd", "verifiedhosts", "certgate");
    let newer = json!({"status": {"released": {"since": "2026-01-01T00:00:00Z"}, "mood": "good", "place": "queued", "profile": "envoy"}});
    let keep = |object: &Value, at: &str| object.pointer(at).is_some_and(Value::is_object);
    odd.lab
        .wait_for("the API server keeps what it is given", SOON, async || {
            let written = ask(&client, "PATCH", &format!("{domain}/status"), Some(newer.clone())).await?;
            Ok(keep(&written, "/status/released").then_some(()))
        })
        .await?;
    let hosts = json!({"spec": {"hosts": {host: {"secret": format!("certgate-{host}")}}}});
    odd.lab
        .wait_for("the API server keeps what it is given", SOON, async || {
            let written = ask(&client, "PATCH", &verified, Some(hosts.clone())).await?;
            Ok(keep(&written, &format!("/spec/hosts/{host}")).then_some(()))
        })
        .await?;

    // Known before, and then to processes that never knew anything else.
    let replicas =
        [cluster.app.replicas_of(installed::CONTROLLER), cluster.app.replicas_of(installed::WEBHOOK)].concat();
    let [controller] = cluster.app.replicas_of(installed::CONTROLLER).try_into().ok().context("one controller")?;
    let stays = async |when: &str| -> Result<()> {
        let ingress = ask(&client, "GET", &ingress, None).await?;
        ensure!(ingress["spec"]["tls"][0]["secretName"] == format!("certgate-{host}"), "{when}: {}", ingress["spec"]);
        let seen = ask(&client, "GET", &domain, None).await?;
        ensure!(seen["metadata"]["uid"].as_str() == before.metadata.uid.as_deref(), "{when}: the Domain is the same");
        ensure!(seen["status"]["mood"] == "good", "{when}: and says what it said");
        let seen = ask(&client, "GET", &verified, None).await?;
        ensure!(seen["spec"]["hosts"][host].is_object(), "{when}: {}", seen["spec"]);
        ensure!(
            odd.certificates().get_opt(&format!("certgate-{host}")).await?.is_some(),
            "{when}: the Certificate is there"
        );
        ensure!(odd.orders(host)? == 1, "{when}: nothing is ordered again");
        Ok(())
    };
    let named = async |replica: &str, metric: &str| {
        odd.lab
            .wait_for(&format!("{replica} counts it"), SOON, async || {
                Ok((cluster.app.metric(replica, metric).await? >= 1.0).then_some(()))
            })
            .await
    };
    named(&controller, "certgate_controller_unreadable_objects{kind=\"Domain\"}").await?;
    stays("known before").await?;
    for replica in &replicas {
        cluster.app.kill(replica)?;
        cluster.app.restart(replica, READY).await.context("it starts with what it cannot read")?;
    }
    named(&controller, "certgate_controller_unreadable_objects{kind=\"Domain\"}").await?;
    named(&controller, "certgate_controller_unreadable_objects{kind=\"VerifiedHosts\"}").await?;
    for webhook in cluster.app.replicas_of(installed::WEBHOOK) {
        named(&webhook, "certgate_index_unreadable_objects{kind=\"Domain\"}").await?;
    }
    let log = cluster.app.log_tail(&controller, 2_000)?;
    let line =
        log.lines().find(|line| line.contains("cannot be read") && line.contains("Domain") && line.contains(host));
    let line = line.with_context(|| format!("the log names it: {log}"))?;
    ensure!(line.contains("status.released") && line.len() < 1_000, "{line}");
    let longest = log.lines().map(str::len).max().unwrap_or_default();
    ensure!(longest < 4_000, "no line of the log has the objects themselves in it: {longest} octets");

    // Everybody else is served as ever; and so is what hangs on odd times alone.
    good.create(plain("web", &[later])).await?;
    good.until_injected("web", later).await?;
    good.until_domain(later, "Ready", "True", None).await?;
    let second = "second.example.com";
    odd.lab.dns().a(second, odd.lab.ip());
    odd.create(plain("second", &[second])).await?;
    odd.until_domain(second, "Verified", "True", None).await.context("the tenant's other hosts")?;
    stays("never known").await?;
    // A write of the tenant's own, which the webhook sees: nothing is taken away by it.
    let touched = ask(&client, "PATCH", &ingress, Some(json!({"metadata": {"labels": {"touched": "yes"}}}))).await?;
    ensure!(touched["spec"]["tls"][0]["secretName"] == format!("certgate-{host}"), "{}", touched["spec"]);
    let events: Api<Event> = Api::namespaced(client.clone(), "odd");
    odd.lab
        .wait_for("an Event tells of the Domain", PATIENCE, async || {
            let all = events.list(&Default::default()).await?;
            let told = |event: &&Event| event.reason.as_deref() == Some("ObjectUnreadable");
            let about: BTreeMap<_, _> = all
                .iter()
                .filter(told)
                .filter_map(|e| Some((e.regarding.as_ref()?.kind.clone()?, e.note.clone()?)))
                .collect();
            Ok(about.get("Domain").is_some_and(|note| note.contains("status.released")).then_some(()))
        })
        .await?;
    let findings = doctor(&odd).await?;
    let of = |kind: &str| {
        findings.iter().any(|f| {
            f["fault"] == "ObjectsUnreadable" && f.to_string().contains(kind) && f.to_string().contains("odd/")
        })
    };
    ensure!(of("Domain") && of("VerifiedHosts"), "{findings:?}");
    ensure!(!of("Ingress") && !of("Certificate"), "odd times can be read: {findings:?}");

    // It can be read again, and all goes on, without an order.
    ask(&client, "PATCH", &format!("{domain}/status"), Some(json!({"status": {"released": true}}))).await?;
    ask(&client, "PATCH", &verified, Some(json!({"spec": {"hosts": {host: format!("certgate-{host}")}}}))).await?;
    odd.until_domain(host, "Ready", "True", None).await?;
    odd.lab
        .wait_for("nothing is unreadable any more", SOON, async || {
            let metric = "certgate_controller_unreadable_objects{kind=\"Domain\"}";
            Ok((cluster.app.metric(&controller, metric).await? == 0.0).then_some(()))
        })
        .await?;
    ensure!(odd.orders(host)? == 1);
    cluster.lab.stop()
}
