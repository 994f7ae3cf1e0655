//! `certgate doctor` on an installation that is well, and on the same broken in one way after another.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test may end by panicking"
)]

#[path = "doctor/broken.rs"]
mod broken;
#[path = "doctor/change.rs"]
mod change;
#[path = "support/cluster.rs"]
#[allow(dead_code, reason = "each test binary uses its part of it")]
mod cluster;
#[path = "support/helm.rs"]
#[allow(dead_code, reason = "shared with the tests of the chart")]
mod helm;

use std::{collections::BTreeSet, path::Path, time::Duration};

use anyhow::{Context, Result, ensure};
use certgate::{
    core::policy::Policy,
    doctor::{observed::Names, permissions::needed},
};
use certgate_lab::{
    App, Identity, Lab, LabOptions, certgate as installed,
    dns::{Answer, RecordType},
};
use cluster::program;
use serde_json::{Value, json};

/// The API server's own watches take a moment to see what was broken.
const SOON: Duration = Duration::from_secs(60);

/// What doctor says.
struct Said {
    code: Option<i32>,
    findings: Vec<Value>,
}

impl Said {
    /// The faults that it names.
    fn faults(&self) -> BTreeSet<&str> {
        self.findings.iter().filter_map(|finding| finding["fault"].as_str()).collect()
    }
}

/// Runs doctor.
async fn doctor(kubeconfig: &Path) -> Result<Said> {
    let run = tokio::process::Command::new(program())
        .args(["doctor", "--namespace", installed::NAMESPACE, "--output", "json", "--kubeconfig"])
        .arg(kubeconfig)
        .output();
    let output = run.await?;
    let text = String::from_utf8_lossy(&output.stdout);
    let said: Value =
        serde_json::from_str(&text).with_context(|| String::from_utf8_lossy(&output.stderr).into_owned())?;
    let findings = said["findings"].as_array().context("no findings")?.clone();
    Ok(Said { code: output.status.code(), findings })
}

/// What kubelets, the Deployment controller, helm and a gateway would have written: a lab has none of them.
async fn play(lab: &Lab, app: &App) -> Result<()> {
    // What every resolver of the public DNS knows, and one that does not is told of.
    lab.dns().set("com", RecordType::NS, Answer::new().ns("a.gtld-servers.net"));
    lab.namespace("cert-manager").await?;
    let labels = json!({ "app.kubernetes.io/name": "cert-manager", "app.kubernetes.io/component": "controller",
        "app.kubernetes.io/version": "v1.21.1" });
    let container = json!({ "name": "cert-manager-controller", "image": "quay.io/jetstack/cert-manager-controller:v1.21.1",
        "args": ["--v=2", "--cluster-resource-namespace=$(POD_NAMESPACE)"] });
    lab.apply_value(json!([
        { "apiVersion": "apps/v1", "kind": "Deployment",
          "metadata": { "name": "cert-manager", "namespace": "cert-manager", "labels": labels },
          "spec": { "selector": { "matchLabels": labels },
            "template": { "metadata": { "labels": labels }, "spec": { "containers": [container] } } } },
        { "apiVersion": "networking.k8s.io/v1", "kind": "IngressClass", "metadata": { "name": "lab" },
          "spec": { "controller": "lab.example/gateway" } },
    ]))
    .await?;
    // Loopback addresses are refused in EndpointSlices; these stand for the replicas'.
    let endpoints: Vec<Value> = (1..=app.replicas_of(installed::WEBHOOK).len())
        .map(|n| json!({ "addresses": [format!("192.0.2.{n}")], "conditions": { "ready": true } }))
        .collect();
    let slice = |namespace: &str, name: &str, service: &str, endpoints: &[Value], port: u16| {
        json!({ "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
            "metadata": { "name": name, "namespace": namespace, "labels": { "kubernetes.io/service-name": service } },
            "addressType": "IPv4", "endpoints": endpoints,
            "ports": [{ "name": "https", "port": port, "protocol": "TCP" }] })
    };
    lab.apply_value(json!([
        slice(installed::NAMESPACE, "certgate-webhook-lab", installed::WEBHOOK, &endpoints, 8443),
        slice("default", "kubernetes-lab", "kubernetes", &[json!({ "addresses": ["192.0.2.9"] })], 6443),
    ]))
    .await?;
    let client = lab.client().await?;
    for (namespace, name, count) in [
        (installed::NAMESPACE, installed::WEBHOOK, 2),
        (installed::NAMESPACE, installed::CONTROLLER, 1),
        ("cert-manager", "cert-manager", 1),
    ] {
        change::deployment_status(&client, namespace, name, count).await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn every_fault_of_an_installation_is_named() -> Result<()> {
    Lab::with(LabOptions::default(), async |lab| {
        let policy = installed::policy(lab, "pebble-fast");
        let app = installed::install(lab, installed::chart(program(), &policy)).await?;
        play(lab, &app).await?;
        let kubeconfig = lab.kubeconfig();
        let until = async |what: &str, expected: &[&str]| {
            let expected: BTreeSet<&str> = expected.iter().copied().collect();
            let last = std::cell::RefCell::new(String::new());
            lab.wait_for(what, SOON, async || {
                let said = doctor(&kubeconfig).await?;
                if said.faults() == expected {
                    return Ok(Some(said));
                }
                let bad: Vec<&Value> = said.findings.iter().filter(|finding| finding["level"] != "ok").collect();
                *last.borrow_mut() = format!("{what}: {bad:#?}");
                Ok(None)
            })
            .await
            .with_context(|| last.take())
        };
        let said = until("all is well", &[]).await?;
        ensure!(said.code == Some(0), "{:?}", said.code);

        let client = lab.client().await?;
        let mut named: BTreeSet<&str> = BTreeSet::new();
        for broken in broken::rows(&policy) {
            let undo = change::apply(&client, &broken.changes).await.context(broken.what)?;
            let said = until(broken.what, broken.faults).await?;
            let to_fix = said.findings.iter().any(|finding| finding["level"] == "fail");
            ensure!(said.code == Some(i32::from(to_fix)), "{}: {:?}", broken.what, said.code);
            change::undo(&client, undo).await.context(broken.what)?;
            named.extend(broken.faults);
        }
        ensure!(named.len() >= 20, "only {} faults: {named:?}", named.len());

        // Without a controller nobody heals the rest.
        for replica in app.replicas_of(installed::CONTROLLER) {
            app.kill(&replica)?;
        }
        for broken in broken::rows_without_controller(lab.authority_pem()) {
            let undo = change::apply(&client, &broken.changes).await.context(broken.what)?;
            until(broken.what, broken.faults).await?;
            change::undo(&client, undo).await.context(broken.what)?;
        }

        // Somebody without rights is told so, and not that all is well.
        let nobody = lab.directory().join("nobody.kubeconfig");
        lab.write_kubeconfig(&nobody, &Identity::User("nobody".into(), Vec::new()))?;
        let said = doctor(&nobody).await?;
        ensure!(said.code == Some(1) && said.faults().contains("NotAllowed"), "{:#?}", said.findings);
        ensure!(said.faults().contains("PermissionsUnknown"), "{:#?}", said.findings);
        Ok(())
    })
    .await
}

/// Each right of the roles that a chart renders, one by one.
fn granted(objects: &[Value], account: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let bound = |kind: &str, role: &Value| {
        objects.iter().any(|object| {
            object["kind"] == kind
                && object["roleRef"]["name"] == role["metadata"]["name"]
                && object["metadata"]["namespace"] == role["metadata"]["namespace"]
                && object["subjects"][0]["name"] == account
        })
    };
    for role in objects.iter().filter(|object| ["Role", "ClusterRole"].contains(&object["kind"].as_str().unwrap())) {
        let binding = format!("{}Binding", role["kind"].as_str().unwrap());
        if !bound(&binding, role) {
            continue;
        }
        let texts = |value: &Value| -> Vec<String> {
            value.as_array().into_iter().flatten().map(|word| word.as_str().unwrap().to_owned()).collect()
        };
        for rule in role["rules"].as_array().unwrap() {
            let names = Some(texts(&rule["resourceNames"])).filter(|names| !names.is_empty());
            let names = names.map_or(vec![None], |names| names.into_iter().map(Some).collect());
            for (group, resource) in texts(&rule["apiGroups"])
                .into_iter()
                .flat_map(|group| texts(&rule["resources"]).into_iter().map(move |resource| (group.clone(), resource)))
            {
                for verb in texts(&rule["verbs"]) {
                    for name in &names {
                        let namespace = role["metadata"]["namespace"].as_str();
                        found.insert(format!("{verb} {group}/{resource} {name:?} {namespace:?}"));
                    }
                }
            }
        }
    }
    found
}

#[test]
fn the_rights_that_are_asked_for_are_those_that_the_chart_grants() {
    let full = json!({ "gate": { "mode": "all" }, "rainbond": { "routes": true },
        "console": { "url": "https://console.example.com", "region": "r1" },
        "gateway": { "rainbond": true, "service": { "namespace": "ingress", "name": "gw" } } });
    for (policy, mode) in [(json!({}), "self-managed"), (json!({}), "files"), (full, "self-managed")] {
        let scratch = tempfile::NamedTempFile::new().unwrap();
        let values = json!({ "policy": policy, "webhook": { "servingCert": { "mode": mode, "secretName": "mine" } },
            "controller": { "page": { "enabled": mode == "files", "auth": "token" } } });
        std::fs::write(scratch.path(), values.to_string()).unwrap();
        let rendered = helm::template(&["--skip-tests", "--values", scratch.path().to_str().unwrap()]).unwrap();
        let objects = helm::documents(&rendered);
        let deployment = |name| serde_json::from_value(helm::find(&objects, "Deployment", name).clone()).unwrap();
        let (webhook, controller) = (deployment("certgate-webhook"), deployment("certgate-controller"));
        let names = Names::of("certgate-system", "certgate", Some(&webhook), Some(&controller));
        assert_eq!(names.self_managed, mode == "self-managed");
        let policy: Policy = serde_json::from_value(policy).unwrap();
        for account in ["certgate-webhook", "certgate-controller"] {
            let asked: BTreeSet<String> = needed(&names, &policy)
                .into_iter()
                .filter(|permission| permission.account == account)
                .map(|p| format!("{} {}/{} {:?} {:?}", p.verb, p.group, p.resource, p.name, p.namespace.as_deref()))
                .collect();
            assert_eq!(asked, granted(&objects, account), "{account} {mode}");
        }
    }
}

#[test]
fn a_cluster_that_cannot_be_asked_is_neither_well_nor_broken() {
    let kubeconfig = tempfile::NamedTempFile::new().unwrap();
    let config = json!({ "apiVersion": "v1", "kind": "Config", "current-context": "c",
        "contexts": [{ "name": "c", "context": { "cluster": "c", "user": "u" } }],
        "clusters": [{ "name": "c", "cluster": { "server": "http://127.0.0.1:1" } }], "users": [{ "name": "u" }] });
    std::fs::write(kubeconfig.path(), config.to_string()).unwrap();
    let output = std::process::Command::new(program())
        .args(["doctor", "--timeout", "2", "--kubeconfig"])
        .arg(kubeconfig.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.starts_with("certgate: the API server does not answer") && said.lines().count() == 1, "{said}");
}
