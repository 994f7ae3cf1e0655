//! Injection by the API server itself, held against what the webhook decides about the same object.

use std::{collections::BTreeMap, time::Duration};

use anyhow::{Context, Result, ensure};
use certgate::core::{
    decide::decide,
    finding::Finding,
    ingress::Ingress,
    knowledge::{Bind, DomainFacts, Knowledge, VerdictFacts},
    names,
    policy::{AutoIssue, IssuerRef, Policy, Profile},
    reason::Reason,
};
use certgate_lab::{Lab, LabOptions};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::{
    ask::{self, Ask, Asker, Who},
    helm,
};

/// Where VerifiedHosts is, and where it is not.
const KNOWN: &str = "known";
const UNKNOWN: &str = "unknown";

/// What becomes of an Ingress.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Expect {
    /// The API server does what the webhook would, and changes something.
    Same,
    /// The API server leaves it to the webhook, whatever that does.
    Left,
}
use Expect::{Left, Same};

/// What the webhook knows.
#[derive(Default)]
struct Known(BTreeMap<String, DomainFacts>);

impl Knowledge for Known {
    fn namespace_label(&self, _: &str, _: &str) -> Option<&str> {
        None
    }
    fn domain(&self, _: &str, host: &str) -> Option<&DomainFacts> {
        self.0.get(host)
    }
    fn has_profile(&self, _: &str, _: Profile) -> bool {
        false
    }
}

fn now() -> Timestamp {
    "2026-11-24T12:00:00Z".parse().unwrap()
}

/// Hosts v0…v29 are verified, as are `a` and `b`; `bound` has a certificate already; `new` is not verified.
fn knowledge() -> (Known, Value) {
    let mut known = Known::default();
    let mut hosts = BTreeMap::new();
    let verified = (0..30).map(|n| format!("v{n}")).chain(["a".to_owned(), "b".to_owned(), "*".to_owned()]);
    for name in verified {
        let host = format!("{name}.example.com");
        let secret = certgate::core::host::Host::parse(&host).unwrap().secret_name();
        hosts.insert(host.clone(), secret);
        known.0.insert(host.clone(), facts(Reason::Verified, &host));
    }
    let bind = Bind { secret_name: "theirs".into(), certificate: "theirs".into() };
    hosts.insert("bound.example.com".into(), bind.secret_name.clone());
    known.0.insert(
        "bound.example.com".into(),
        DomainFacts { bind: Some(bind), ..facts(Reason::Verified, "bound.example.com") },
    );
    known.0.insert("new.example.com".into(), facts(Reason::WrongTarget, "new.example.com"));
    let object = json!({
        "apiVersion": "certgate.dev/v1alpha1", "kind": "VerifiedHosts",
        "metadata": { "name": "certgate", "namespace": KNOWN },
        "spec": { "issuer": "letsencrypt", "hosts": hosts },
    });
    (known, object)
}

fn facts(reason: Reason, host: &str) -> DomainFacts {
    let valid_until = "2026-12-24T12:00:00Z".parse().unwrap();
    DomainFacts {
        verdict: Some(VerdictFacts { finding: Finding::new(reason, host), issuer: None, server: None, valid_until }),
        lead: Some("web".into()),
        ..DomainFacts::default()
    }
}

/// An Ingress for some hosts below example.com.
fn ingress(hosts: &[&str], change: impl FnOnce(&mut Value)) -> Value {
    let backend = json!({ "service": { "name": "web", "port": { "number": 80 } } });
    let rules: Vec<_> = hosts
        .iter()
        .map(|host| {
            let paths = json!([{ "path": "/", "pathType": "Prefix", "backend": backend }]);
            match *host {
                "" => json!({ "http": { "paths": paths } }),
                host => json!({ "host": format!("{host}.example.com"), "http": { "paths": paths } }),
            }
        })
        .collect();
    let mut object = json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": { "name": "web" }, "spec": { "rules": rules },
    });
    if rules.is_empty() {
        object["spec"] = json!({ "defaultBackend": backend });
    }
    change(&mut object);
    object
}

fn annotated(key: &str, value: &str) -> impl FnOnce(&mut Value) {
    let (key, value) = (key.to_owned(), value.to_owned());
    move |object| object["metadata"]["annotations"] = json!({ key: value })
}

fn labelled(labels: Value) -> impl FnOnce(&mut Value) {
    move |object| object["metadata"]["labels"] = labels
}

fn with_tls(tls: Value) -> impl FnOnce(&mut Value) {
    move |object| object["spec"]["tls"] = tls
}

fn table() -> Vec<(&'static str, Value, Expect)> {
    let many: Vec<String> = (0..30).map(|n| format!("v{n}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    vec![
        ("one verified host", ingress(&["a"], |_| {}), Same),
        ("two, in whatever order", ingress(&["b", "a"], |_| {}), Same),
        ("one verified and one not", ingress(&["a", "new"], |_| {}), Same),
        ("a host of two rules", ingress(&["a", "a"], |_| {}), Same),
        ("thirty hosts", ingress(&many, |_| {}), Same),
        ("annotations of others", ingress(&["a"], annotated("x/y", "z")), Same),
        ("the flag", ingress(&["a"], annotated(names::AUTO_ISSUE, "true")), Same),
        (
            "TLS of the user's for another host",
            ingress(&["a"], with_tls(json!([{ "hosts": ["x.example.com"], "secretName": "mine" }]))),
            Same,
        ),
        (
            "TLS of the user's for one of two hosts",
            ingress(&["a", "b"], with_tls(json!([{ "hosts": ["a.example.com"], "secretName": "mine" }]))),
            Same,
        ),
        (
            "annotations and TLS of the user's",
            ingress(&["a"], |object| {
                object["metadata"]["annotations"] = json!({ "x": "y" });
                object["spec"]["tls"] = json!([{ "hosts": ["x.example.com"], "secretName": "mine" }]);
            }),
            Same,
        ),
        ("a rule without host beside it", ingress(&["", "a"], |_| {}), Same),
        ("an ordinary class", ingress(&["a"], |object| object["spec"]["ingressClassName"] = json!("nginx")), Same),
        (
            "empty annotations and TLS",
            ingress(&["a"], |object| {
                object["metadata"]["annotations"] = json!({});
                object["spec"]["tls"] = json!([]);
            }),
            Same,
        ),
        ("no verified host", ingress(&["new"], |_| {}), Left),
        ("an unknown host", ingress(&["other"], |_| {}), Left),
        ("no host at all", ingress(&[], |_| {}), Left),
        ("switched off", ingress(&["a"], annotated(names::AUTO_ISSUE, "false")), Left),
        ("a flag that is unreadable", ingress(&["a"], annotated(names::AUTO_ISSUE, "perhaps")), Left),
        (
            "TLS of the user's for the host",
            ingress(&["a"], with_tls(json!([{ "hosts": ["a.example.com"], "secretName": "mine" }]))),
            Left,
        ),
        ("an issuer of the user's", ingress(&["a"], annotated(names::ISSUER, "mine")), Left),
        ("a cluster issuer of the user's", ingress(&["a"], annotated(names::CLUSTER_ISSUER, "mine")), Left),
        ("tls-acme", ingress(&["a"], annotated("kubernetes.io/tls-acme", "true")), Left),
        ("a certificate that is there already", ingress(&["bound"], |_| {}), Left),
        ("a wildcard, whose Secret has another name", ingress(&["*"], |_| {}), Left),
        (
            "a TLS entry of ours whose record was lost",
            ingress(&["a"], with_tls(json!([{ "hosts": ["a.example.com"], "secretName": "certgate-a.example.com" }]))),
            Left,
        ),
        ("Rainbond 5", ingress(&["a"], labelled(json!({ "creator": "Rainbond", "service_id": "x" }))), Left),
        (
            "Rainbond's operator",
            ingress(&["a"], labelled(json!({ names::RAINBOND_BELONG_TO: names::RAINBOND_OPERATOR }))),
            Left,
        ),
        ("a challenge's answer", ingress(&["a"], labelled(json!({ names::SOLVER_LABEL: "true" }))), Left),
        ("a companion", ingress(&["a"], labelled(json!({ names::COMPANION_OF: "a" }))), Left),
        ("APISIX", ingress(&["a"], |object| object["spec"]["ingressClassName"] = json!("apisix")), Left),
        ("APISIX by annotation", ingress(&["a"], annotated("kubernetes.io/ingress.class", "apisix")), Left),
        ("a TCP rule", ingress(&["a"], annotated(names::L4_ENABLE, "true")), Left),
    ]
}

/// Annotations and TLS, which is all that either may change.
fn parts(object: &Value) -> Value {
    json!({ "annotations": object["metadata"]["annotations"], "tls": object["spec"]["tls"] })
}

/// What the webhook makes of an object.
fn decided(object: &Value, known: &Known, policy: &Policy) -> Result<Value> {
    let text = object.to_string();
    let ingress: Ingress<'_> = serde_json::from_str(&text)?;
    let decision = decide(&ingress, known, policy, now());
    let patch: json_patch::Patch = serde_json::from_value(serde_json::to_value(&decision.patch)?)?;
    let mut after = object.clone();
    json_patch::patch(&mut after, &patch)?;
    Ok(after)
}

#[tokio::test]
async fn the_api_server_injects_what_the_webhook_would() -> Result<()> {
    Lab::with(LabOptions::bare(), async |lab| {
        let (known, object) = knowledge();
        let policy =
            Policy { auto_issue: AutoIssue::All, issuer: Some(IssuerRef::cluster("letsencrypt")), ..Policy::default() };
        install(lab, object).await?;
        let asker = Asker::new(lab).await?;
        let create = async |object: &Value, namespace: &str| {
            let answer = asker.ask(&Who::Tenant, &Ask::Create(object.clone()), namespace).await?;
            ensure!(answer.status == 201, "{} {}", answer.status, answer.message);
            anyhow::Ok(answer.object)
        };
        lab.wait_for("the policy is in force", Duration::from_secs(60), async || {
            let object = create(&ingress(&["a"], |_| {}), KNOWN).await?;
            Ok(object["spec"]["tls"].is_array().then_some(()))
        })
        .await?;
        for (what, object, expect) in table() {
            // As the API server has read it, which is what the webhook is sent.
            let before = create(&object, UNKNOWN).await.context(what)?;
            let after = create(&object, KNOWN).await.context(what)?;
            if expect == Left {
                ensure!(parts(&after) == parts(&before), "{what}: {}", parts(&after));
                continue;
            }
            ensure!(parts(&after) != parts(&before), "{what}: nothing was injected");
            let webhook = decided(&before, &known, &policy)?;
            ensure!(parts(&after) == parts(&webhook), "{what}:\n{}\n{}", parts(&after), parts(&webhook));
            let again = decided(&after, &known, &policy)?;
            ensure!(parts(&again) == parts(&after), "{what}: the webhook would change it again:\n{}", parts(&again));
        }
        Ok(())
    })
    .await
}

async fn install(lab: &Lab, verified_hosts: Value) -> Result<()> {
    let rendered =
        helm::template(&["--skip-tests", "--set", "admissionPolicy.mutating=true"]).map_err(anyhow::Error::msg)?;
    let objects = helm::documents(&rendered).into_iter().filter(|object| {
        let kind = object["kind"].as_str().unwrap_or_default();
        kind == "CustomResourceDefinition" || kind.contains("AdmissionPolicy")
    });
    lab.apply_value(objects.collect()).await?;
    lab.apply_value(ask::all_rights()).await?;
    for namespace in [KNOWN, UNKNOWN] {
        lab.namespace(namespace).await?;
    }
    lab.apply_value(verified_hosts).await?;
    Ok(())
}
