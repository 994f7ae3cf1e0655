//! The model of ingress-shim against the real one: random Ingresses, as Rainbond's cert-manager and as the current one read
//! them. What they make of each, and what they refuse, is what the model says.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test may end by panicking"
)]

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};
use certgate::core::{
    ingress::Ingress,
    names,
    shim::{Defaults, Reading, Version, read},
};
use certgate_lab::{CertManager, Gateway, Lab, LabOptions};
use futures::{StreamExt as _, stream};
use kube::{
    Api,
    api::{ApiResource, DynamicObject, GroupVersionKind, ListParams, PostParams},
};
use proptest::{prelude::*, sample::select, strategy::ValueTree, test_runner::TestRunner};
use serde_json::{Value, json};

/// How many Ingresses each version reads.
const COUNT: usize = 500;
const AT_ONCE: usize = 8;
/// How many Ingresses come after them.
const LAST: usize = 6;
const PATIENCE: Duration = Duration::from_secs(240);
const NAMESPACE: &str = "shim";

/// Annotations by which it acts, mostly well.
const ISSUERS: &[&[(&str, &str)]] = &[
    &[(names::CLUSTER_ISSUER, "le")],
    &[(names::CLUSTER_ISSUER, "le")],
    &[(names::CLUSTER_ISSUER, "le")],
    &[(names::ISSUER, "mine")],
    &[(names::ISSUER, "mine"), (names::ISSUER_KIND, "ClusterIssuer")],
    &[(names::ISSUER, "mine"), (names::ISSUER_KIND, "Custom"), (names::ISSUER_GROUP, "example.com")],
    &[(names::ISSUER, "mine"), (names::ISSUER_KIND, ""), (names::ISSUER_GROUP, "")],
    &[(names::CLUSTER_ISSUER, "")],
    &[(names::ISSUER, "mine"), (names::CLUSTER_ISSUER, "le")],
    &[(names::ISSUER, ""), (names::CLUSTER_ISSUER, "le"), (names::ISSUER_GROUP, "g")],
    &[(names::CLUSTER_ISSUER, "le"), (names::ISSUER_KIND, "Custom")],
    &[(names::CLUSTER_ISSUER, "le"), (names::ISSUER_GROUP, "example.com")],
    &[(names::ISSUER_KIND, "Custom")],
    &[(names::TLS_ACME, "true")],
    &[(names::TLS_ACME, "T"), (names::ISSUER, "mine")],
    &[(names::TLS_ACME, "yes")],
    &[],
];

/// What it reads of the certificate.
const WISHES: &[(&str, &[&str])] = &[
    (names::COMMON_NAME, &["www.example.com", "", "Shop"]),
    (names::ALT_NAMES, &["", "a.example.com", "a.example.com,www.example.com,"]),
    (names::IP_SANS, &["", "203.0.113.7", "no address,"]),
    (names::EMAIL_SANS, &["me@example.com", "", "a@example.com,b"]),
    (
        "cert-manager.io/subject-organizations",
        &["Acme", "\"Acme, Inc.\",Other", "a\"b", "", "\"open", "a\nb", "\r\na\r\n", "x,,y", "\"a\"\"b\"", "\"a\"b"],
    ),
    ("cert-manager.io/subject-organizationalunits", &["Web", " padded ,x"]),
    ("cert-manager.io/subject-countries", &["CN,DE"]),
    ("cert-manager.io/subject-provinces", &["Zhejiang", "\"bad"]),
    ("cert-manager.io/subject-localities", &["Hangzhou"]),
    ("cert-manager.io/subject-postalcodes", &["310000"]),
    ("cert-manager.io/subject-streetaddresses", &["\"1, Main\""]),
    ("cert-manager.io/subject-serialnumber", &["7", ""]),
    (
        names::DURATION,
        &[
            "2160h",
            "90d",
            "",
            "1h30m",
            "1.5h",
            "-1h",
            "0",
            "h",
            "1500ms",
            "2540400h10m10.000001s",
            "9999999999h",
            "+2h",
            "1us",
        ],
    ),
    (names::RENEW_BEFORE, &["720h", "30", ".5h", "1.h", "1e3h"]),
    (names::RENEW_BEFORE_PERCENTAGE, &["33", "33%", "+5", "-3", "99999999999", ""]),
    (
        names::USAGES,
        &["server auth, client auth", "digital signature", "tls", "", "server auth,", "Server Auth", "s/mime"],
    ),
    (names::REVISION_HISTORY_LIMIT, &["1", "0", "-1", "x", "007"]),
    (names::PRIVATE_KEY_ALGORITHM, &["RSA", "ECDSA", "Ed25519", "ecdsa", ""]),
    (names::PRIVATE_KEY_ENCODING, &["PKCS1", "PKCS8", "DER"]),
    (names::PRIVATE_KEY_SIZE, &["2048", "256", "384", "1024", "8193", "+3072", "0x800", ""]),
    (names::PRIVATE_KEY_ROTATION_POLICY, &["Always", "Never", "always"]),
    (
        names::SECRET_TEMPLATE,
        &[
            "{}",
            "null",
            "[]",
            "",
            "{\"labels\":{\"a\":\"b\"}}",
            "{\"Labels\":{\"a\":\"b\"}} rest",
            "{\"labels\":{\"a\":1}}",
            "{\"other\":{}}",
            "{\"annotations\":{\"cert-manager.io/x\":\"y\"}}",
            "{\"annotations\":{\"example.com/x\":\"y\"},\"labels\":null}",
            "{\"labels\":{\"a\":null}}",
        ],
    ),
    (names::HTTP01_EDIT_IN_PLACE, &["true", "True", "false"]),
    (names::HTTP01_INGRESS_CLASS, &["nginx", ""]),
    (names::HTTP01_INGRESS_CLASS_NAME, &["nginx", ""]),
];

const HOSTS: &[&str] = &["www.example.com", "example.com", "*.example.com", "203.0.113.10", "xn--fsqu00a.com"];

fn wish() -> impl Strategy<Value = (&'static str, &'static str)> {
    select(WISHES).prop_flat_map(|(key, values)| select(values).prop_map(move |value| (key, value)))
}

/// TLS entries by hosts and the number of a Secret; none: no Secret.
fn tls() -> impl Strategy<Value = Vec<(Vec<&'static str>, Option<usize>)>> {
    let entry = (prop::collection::vec(select(HOSTS), 0..4), prop::option::weighted(0.9, 0_usize..9));
    prop::collection::vec(entry, 0..4)
}

fn ingress(number: usize, runner: &mut TestRunner) -> Value {
    let tree =
        (select(ISSUERS), prop::option::weighted(0.8, prop::collection::vec(wish(), 1..5)), tls(), any::<bool>());
    let (issuer, wishes, tls, labelled) = tree.new_tree(runner).unwrap().current();
    let name = format!("i{number}");
    let annotations: BTreeMap<&str, &str> = issuer.iter().copied().chain(wishes.into_iter().flatten()).collect();
    let tls: Vec<Value> = tls
        .into_iter()
        .map(|(hosts, secret)| {
            let mut entry = serde_json::Map::new();
            if !hosts.is_empty() {
                entry.insert("hosts".to_owned(), json!(hosts));
            }
            if let Some(secret) = secret {
                entry.insert("secretName".to_owned(), json!(format!("{name}-{secret}")));
            }
            Value::Object(entry)
        })
        .collect();
    let labels = if labelled { json!({"app": "shop", "applyset.kubernetes.io/part-of": "x"}) } else { json!({}) };
    json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "Ingress",
        "metadata": {"name": name, "namespace": NAMESPACE, "annotations": annotations, "labels": labels},
        "spec": {"defaultBackend": {"service": {"name": "web", "port": {"number": 80}}}, "tls": tls},
    })
}

fn api(client: &kube::Client, group: &str, kind: &str, plural: &str) -> Api<DynamicObject> {
    let kind = GroupVersionKind::gvk(group, "v1", kind);
    Api::namespaced_with(client.clone(), NAMESPACE, &ApiResource::from_gvk_with_plural(&kind, plural))
}

/// The annotations that cert-manager's log says it cannot read. It does not say whose.
fn unreadable(log: &str) -> BTreeSet<String> {
    let errors = log.lines().filter_map(|line| line.split_once(r#"invalid ingress annotation \""#));
    errors.filter_map(|(_, rest)| Some(rest.split_once('\\')?.0.to_owned())).collect()
}

/// An Ingress of which a Certificate is made, whatever came before.
fn last(number: usize) -> Value {
    let name = format!("last{number}");
    json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "Ingress",
        "metadata": {"name": name, "namespace": NAMESPACE, "annotations": {names::CLUSTER_ISSUER: "le"}},
        "spec": {"defaultBackend": {"service": {"name": "web", "port": {"number": 80}}}, "tls": [{"hosts": [HOSTS[0]], "secretName": name}]},
    })
}

/// The parts of a Certificate that ingress-shim sets.
fn reduced(certificate: &DynamicObject) -> Value {
    let meta = &certificate.metadata;
    let mut metadata = json!({"name": meta.name});
    for (key, map) in [("labels", &meta.labels), ("annotations", &meta.annotations)] {
        if let Some(map) = map.as_ref().filter(|map| !map.is_empty()) {
            metadata[key] = json!(map);
        }
    }
    json!({"metadata": metadata, "spec": certificate.data["spec"]})
}

async fn differ(cert_manager: CertManager, version: Version) -> Result<()> {
    let options = LabOptions {
        cert_manager: Some(cert_manager),
        gateway: Gateway::None,
        cert_manager_args: vec!["--controllers=ingress-shim,clusterissuers".to_owned()],
        ..LabOptions::default()
    };
    let lab = Lab::start(options).await?;
    lab.namespace(NAMESPACE).await?;
    let client = lab.client().await?;
    let ingresses = api(&client, "networking.k8s.io", "Ingress", "ingresses");
    let mut runner = TestRunner::deterministic();
    let objects: Vec<Value> = (0..COUNT).map(|number| ingress(number, &mut runner)).collect();
    let stored: Vec<Result<Value>> = stream::iter(objects)
        .map(async |object| {
            let stored = ingresses.create(&PostParams::default(), &serde_json::from_value(object)?).await?;
            Ok(serde_json::to_value(stored)?)
        })
        .buffer_unordered(AT_ONCE)
        .collect()
        .await;
    let stored: Vec<Value> =
        stored.into_iter().collect::<Result<_>>().context("an Ingress that no API server takes")?;
    let certificates = api(&client, "cert-manager.io", "Certificate", "certificates");
    // It takes its Ingresses in the order of their writes, five at a time.
    for number in 0..LAST {
        ingresses.create(&PostParams::default(), &serde_json::from_value(last(number))?).await?;
        lab.wait_for("ingress-shim has looked at every Ingress", PATIENCE, async || {
            certificates.get_opt(&format!("last{number}")).await.map_err(Into::into)
        })
        .await?;
    }
    let mut made: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for certificate in certificates.list(&ListParams::default()).await? {
        let owner = certificate.metadata.owner_references.iter().flatten().next().context("no owner")?.name.clone();
        made.entry(owner).or_default().push(reduced(&certificate));
    }
    let mut refusals: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let (mut counts, mut faults) = ([0; 4], BTreeSet::new());
    for object in &stored {
        let name = object["metadata"]["name"].as_str().unwrap();
        let text = object.to_string();
        let ingress: Ingress<'_> = serde_json::from_str(&text)?;
        let reading = read(&ingress, version, Defaults::default());
        let certificates: Vec<Value> =
            reading.certificates().iter().map(|one| serde_json::to_value(one).unwrap()).collect();
        let real = made.remove(name).unwrap_or_default();
        ensure!(certificates == real, "of {object}\nthe model makes\n{certificates:?}\nand cert-manager\n{real:?}");
        let (kind, told) = match reading {
            Reading::Idle => (0, Vec::new()),
            Reading::Refused(why) => (1, vec![why]),
            Reading::Unreadable(fault) => {
                // Of the organizational units cert-manager speaks by the name of the organizations.
                faults.insert(fault.annotation.replace("organizationalunits", "organizations"));
                (2, Vec::new())
            }
            Reading::Certificates { passed_over, .. } => (3, passed_over),
        };
        counts[kind] += 1;
        if !told.is_empty() {
            refusals.insert(name.to_owned(), told.into_iter().collect());
        }
    }
    made.retain(|name, _| !name.starts_with("last"));
    ensure!(made.is_empty(), "{made:?}");
    lab.wait_for("the log names the annotations that the model cannot read", PATIENCE, async || {
        let told = unreadable(&lab.log_tail("cert-manager", usize::MAX)?);
        if told == faults { Ok(Some(())) } else { bail!("cert-manager: {told:?}, the model: {faults:?}") }
    })
    .await?;
    ensure!(counts.iter().all(|count| *count > 40), "idle, refused, unreadable, certificates: {counts:?}");
    // Events are written behind.
    let events = api(&client, "", "Event", "events");
    lab.wait_for("each refusal is told as the model says", PATIENCE, async || {
        let mut told: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for event in events.list(&ListParams::default()).await? {
            let word =
                |pointer: &str| event.data.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
            if word("/reason") == "BadConfig" {
                told.entry(word("/involvedObject/name")).or_default().insert(word("/message"));
            }
        }
        let other = |name: &&String| told.get(*name) != refusals.get(*name);
        match told.keys().chain(refusals.keys()).find(other) {
            Some(name) => bail!("{name}: cert-manager says {:?}, the model {:?}", told.get(name), refusals.get(name)),
            None => Ok(Some(())),
        }
    })
    .await?;
    lab.stop()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_current_version_makes_what_the_model_says() -> Result<()> {
    differ(CertManager::V1_21, Version::V1_21).await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_version_of_rainbonds_documentation_makes_what_the_model_says() -> Result<()> {
    differ(CertManager::V1_17, Version::V1_16).await
}
