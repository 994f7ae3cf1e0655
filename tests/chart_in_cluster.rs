//! The chart's objects in a real API server: taken as they are, and the webhook called for what it should see.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that cannot go on fails"
)]

#[path = "support/helm.rs"]
#[allow(dead_code, reason = "shared with the tests of the chart")]
mod helm;

use std::{fs, path::Path, time::Duration};

use anyhow::{Context, Result, bail, ensure};
use certgate::{
    core::{
        names,
        policy::{AutoIssue, IssuerRef, Policy},
    },
    explain::{documents::Documents, explain, render},
};
use certgate_lab::{
    Lab, LabOptions,
    parts::{Part, Parts},
};
use kube::{Client, client::Body};
use serde_json::{Value, json};

/// Values to install with, beside the defaults.
const VALUES: &[&[&str]] = &[
    &[],
    &["--values", "values-ha.yaml"],
    &["--values", "values-rainbond-v5.yaml"],
    &["--values", "values-rainbond-v6.yaml"],
    &["--set", "webhook.servingCert.mode=cert-manager"],
    &["--set", "webhook.servingCert.mode=files,webhook.servingCert.secretName=mine"],
    &["--set", "webhook.autoscaling.enabled=true,monitoring.serviceMonitor.enabled=true"],
    &["--set", "policy.gateway.service.namespace=kube-system,policy.gateway.service.name=web"],
    &[
        "--set",
        "admissionPolicy.verifiedHosts=deny,admissionPolicy.reservedFields=deny,admissionPolicy.certificates=deny",
    ],
    &["--set", "admissionPolicy.mutating=true,admissionPolicy.exemptUsers={a,b},webhook.clientAuth.secretName=ca"],
    &["--set", "webhook.clientAuth.names={kube-apiserver},webhook.clientAuth.secretName=ca,log.level=debug"],
];

/// Kinds of the Prometheus operator, which a lab has not.
const FOREIGN: [&str; 3] = ["PodMonitor", "ServiceMonitor", "PrometheusRule"];

fn rendered(values: &[&str]) -> Vec<Value> {
    let chart = helm::chart();
    let of_chart = |value: &&str| match value.ends_with(".yaml") {
        true => chart.join(value).to_str().unwrap().to_owned(),
        false => (*value).to_owned(),
    };
    let values: Vec<String> = values.iter().map(of_chart).collect();
    let values: Vec<&str> = values.iter().map(String::as_str).collect();
    let mut objects = helm::documents(&helm::template(&values).unwrap_or_else(|error| panic!("{error}")));
    objects.retain(|object| !FOREIGN.contains(&object["kind"].as_str().unwrap()));
    objects
}

#[tokio::test]
async fn the_api_server_takes_every_object_of_every_values_file() -> Result<()> {
    Lab::with(LabOptions::bare(), async |lab| {
        for definition in Parts::ensure(&[Part::Core])?.crds(Part::Core)? {
            lab.apply_value(definition).await?;
        }
        lab.namespace("certgate-system").await?;
        for values in VALUES {
            lab.apply_value(rendered(values).into()).await.with_context(|| format!("{values:?}"))?;
        }
        let plain = Path::new(env!("CARGO_MANIFEST_DIR")).join("webhook-config");
        for file in ["crds.yaml", "certgate.yaml"] {
            lab.apply(&fs::read_to_string(plain.join(file))?).await.context(file)?;
        }
        Ok(())
    })
    .await
}

/// Asks whether the API server calls the webhook. Nobody answers, and it counts the calls that it lets pass for that.
struct Calls {
    client: Client,
}

impl Calls {
    async fn count(&self) -> Result<u64> {
        let text = self.client.request_text(http::Request::get("/metrics").body(Vec::new())?).await?;
        let counted = text
            .lines()
            .filter(|line| line.starts_with("apiserver_admission_webhook_fail_open_count{"))
            .filter(|line| line.contains(r#"name="ingress.certgate.dev""#))
            .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok());
        Ok(counted.sum::<f64>() as u64)
    }

    /// Creates, as a dry run. `None`: the object is refused before any webhook.
    async fn of_create(&self, object: &Value, namespace: &str) -> Result<Option<bool>> {
        let mut object = object.clone();
        object["metadata"]["namespace"] = json!(namespace);
        let path = format!("/apis/networking.k8s.io/v1/namespaces/{namespace}/ingresses?dryRun=All");
        self.of("POST", &path, "application/json", &object).await
    }

    async fn of(&self, method: &str, path: &str, kind: &str, body: &Value) -> Result<Option<bool>> {
        let before = self.count().await?;
        let request = http::Request::builder()
            .method(method)
            .uri(path)
            .header(http::header::CONTENT_TYPE, kind)
            .body(Body::from(serde_json::to_vec(body)?))?;
        let response = self.client.send(request).await?;
        let status = response.status().as_u16();
        let text = String::from_utf8_lossy(&response.into_body().collect_bytes().await?).into_owned();
        if status == 400 || status == 422 {
            return Ok(None);
        }
        ensure!(status < 300, "{method} {path}: {status} {text}");
        match self.count().await? - before {
            0 => Ok(Some(false)),
            1 => Ok(Some(true)),
            more => bail!("{method} {path}: {more} calls"),
        }
    }
}

fn ingress(change: impl FnOnce(&mut Value)) -> Value {
    let backend = json!({ "service": { "name": "web", "port": { "number": 80 } } });
    let paths = json!([{ "path": "/", "pathType": "Prefix", "backend": backend }]);
    let mut object = json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": { "name": "web" },
        "spec": { "defaultBackend": backend, "rules": [{ "host": "www.example.com", "http": { "paths": paths } }] },
    });
    change(&mut object);
    object
}

/// Objects, and whether the webhook is to see their creation.
fn scope() -> Vec<(&'static str, Value, bool)> {
    let without_rules = |object: &mut Value| object["spec"]["rules"] = Value::Null;
    let labelled = |key: &str, value: &str| ingress(|object| object["metadata"]["labels"] = json!({ key: value }));
    vec![
        ("a host", ingress(|_| {}), true),
        ("a name that is generated", ingress(|o| o["metadata"] = json!({ "generateName": "web-" })), true),
        ("a flag", ingress(|o| o["metadata"]["annotations"] = json!({ names::AUTO_ISSUE: "false" })), true),
        ("a user's TLS", ingress(|o| o["spec"]["tls"] = json!([{ "hosts": ["www.example.com"] }])), true),
        ("rules without a host", ingress(|o| o["spec"]["rules"][0]["host"] = Value::Null), false),
        (
            "one host among rules without",
            ingress(|o| {
                let bare = json!({ "http": o["spec"]["rules"][0]["http"] });
                o["spec"]["rules"].as_array_mut().unwrap().insert(0, bare);
            }),
            true,
        ),
        ("no rules", ingress(without_rules), false),
        (
            "no rules, but a record of ours",
            ingress(|o| {
                without_rules(o);
                o["metadata"]["annotations"] = json!({ names::INJECTED: "{}" });
            }),
            true,
        ),
        (
            "no rules, but a TLS entry of ours",
            ingress(|o| {
                without_rules(o);
                o["spec"]["tls"] = json!([{ "hosts": ["www.example.com"], "secretName": "certgate-www.example.com" }]);
            }),
            true,
        ),
        (
            "no rules and TLS of the user's",
            ingress(|o| {
                without_rules(o);
                o["spec"]["tls"] = json!([{ "hosts": ["www.example.com"], "secretName": "mine" }]);
            }),
            false,
        ),
        ("a companion", labelled(names::COMPANION_OF, "www.example.com"), false),
        ("Rainbond's operator", labelled(names::RAINBOND_BELONG_TO, names::RAINBOND_OPERATOR), false),
        ("something else of that label", labelled(names::RAINBOND_BELONG_TO, "me"), true),
        // Rainbond 5's gateway sees a challenge's answer only with a label that the webhook adds.
        ("a challenge's answer", labelled(names::SOLVER_LABEL, "true"), true),
    ]
}

#[tokio::test]
async fn the_webhook_is_called_for_what_it_decides_about_and_nothing_else() -> Result<()> {
    Lab::with(LabOptions::bare(), async |lab| {
        lab.namespace("certgate-system").await?;
        lab.apply_value(rendered(&["--set", "webhook.excludeNamespaces={left}"]).into()).await?;
        for namespace in ["team", "left"] {
            lab.namespace(namespace).await?;
        }
        let calls = Calls { client: lab.client().await? };
        lab.wait_for("the webhook is called", Duration::from_secs(60), async || {
            Ok(calls.of_create(&ingress(|_| {}), "team").await?.filter(|called| *called))
        })
        .await?;
        for (what, object, expected) in scope() {
            let called = calls.of_create(&object, "team").await.context(what)?;
            ensure!(called == Some(expected), "{what}: {called:?}");
        }
        for namespace in ["certgate-system", "kube-system", "left"] {
            let called = calls.of_create(&ingress(|_| {}), namespace).await?;
            ensure!(called == Some(false), "{namespace}: {called:?}");
        }
        updates(lab, &calls).await?;
        fixtures(&calls).await
    })
    .await
}

/// What is done to an Ingress that is there.
async fn updates(lab: &Lab, calls: &Calls) -> Result<()> {
    lab.apply_value(ingress(|o| {
        o["metadata"]["namespace"] = json!("team");
        // Held, so that a deletion leaves it in the state of being deleted.
        o["metadata"]["finalizers"] = json!(["certgate.dev/test"]);
    }))
    .await?;
    let path = "/apis/networking.k8s.io/v1/namespaces/team/ingresses/web";
    let merge = "application/merge-patch+json";
    let annotate = json!({ "metadata": { "annotations": { "a": "b" } } });
    let hide = json!({ "metadata": { "labels": { names::COMPANION_OF: "x" } } });
    let dry = format!("{path}?dryRun=All");
    for (what, change) in [("an update", &annotate), ("an update that hides the object", &hide)] {
        ensure!(calls.of("PATCH", &dry, merge, change).await? == Some(true), "{what}");
    }
    let status = json!({ "status": { "loadBalancer": { "ingress": [{ "ip": "192.0.2.1" }] } } });
    let called = calls.of("PATCH", &format!("{path}/status?dryRun=All"), merge, &status).await?;
    ensure!(called == Some(false), "an update of the status");
    ensure!(calls.of("DELETE", path, "application/json", &json!({})).await? == Some(false), "a deletion");
    ensure!(calls.of("PATCH", &dry, merge, &annotate).await? == Some(false), "an update while being deleted");
    let free = json!({ "metadata": { "finalizers": null } });
    ensure!(calls.of("PATCH", path, merge, &free).await? == Some(false), "the end of a deletion");
    Ok(())
}

/// Of all that Rainbond sends, what the webhook is not called for is what no decision would change.
async fn fixtures(calls: &Calls) -> Result<()> {
    let policy = Policy { issuer: Some(IssuerRef::cluster("le")), auto_issue: AutoIssue::All, ..Policy::default() };
    let (mut seen, mut cut) = (0, 0);
    for folder in ["v5", "v6"] {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(folder);
        let mut files: Vec<_> = fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<Result<_>>()?;
        files.sort();
        for file in files {
            let text = fs::read_to_string(&file)?;
            for object in helm::documents(&text) {
                if object["kind"] != "Ingress" || object["apiVersion"] != "networking.k8s.io/v1" {
                    continue;
                }
                let name = file.display();
                let called = calls.of_create(&for_create(&object), "team").await.with_context(|| name.to_string())?;
                let mut documents = Documents::default();
                documents.add("fixture", &object.to_string());
                ensure!(documents.faults.is_empty(), "{name}: {:?}", documents.faults);
                let now = "2026-11-24T12:00:00Z".parse()?;
                let report: Value = serde_json::from_str(&render::json(&explain(&documents, &policy, now, true).0)?)?;
                let patch = &report["decisions"][0]["patch"];
                match called {
                    Some(true) => seen += 1,
                    Some(false) => {
                        cut += 1;
                        ensure!(patch.as_array().is_some_and(Vec::is_empty), "{name} is cut, but {patch}");
                    }
                    None => {}
                }
            }
        }
    }
    ensure!(seen > 10 && cut > 0, "{seen} seen, {cut} cut");
    Ok(())
}

/// The object without what only a stored one has.
fn for_create(object: &Value) -> Value {
    let mut object = object.clone();
    let metadata = object["metadata"].as_object_mut().expect("metadata");
    metadata.retain(|key, _| ["name", "labels", "annotations"].contains(&key.as_str()));
    object.as_object_mut().expect("an object").remove("status");
    object
}
